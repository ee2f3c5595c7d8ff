// The verbs on whole branches that leave their content as it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe. A verb that returns success is durable. Only a branch's owner, root and the owner of
// the process may change it.
class BranchVerbs {
 public:
  explicit BranchVerbs(StoreContext& context) : context_(context) {}

  // Makes branch `name` from the present state of `source`, a branch or a bookmark. `outcome`, if
  // given, gets the outcome.
  Result<BranchInfo> Clone(const Caller& caller, const std::string& source, const std::string& name,
                           const CloneOptions& options, CloneOutcome* outcome = nullptr);
  // Refused while a server runs on it: its path changes.
  Result<BranchInfo> Rename(const Caller& caller, const std::string& name,
                            const std::string& new_name);

  Result<BranchInfo> Protect(const Caller& caller, const std::string& name,
                             std::optional<std::chrono::seconds> duration);
  Result<BranchInfo> Unprotect(const Caller& caller, const std::string& name);
  Result<BranchInfo> ChangeLabels(const Caller& caller, const std::string& name,
                                  const std::map<std::string, std::string>& set,
                                  const std::vector<std::string>& remove);
  Result<BranchInfo> SetNote(const Caller& caller, const std::string& name,
                             const std::string& note);
  // Only an admin can give a branch to another user, as far as policies allow. Files that the old
  // owner has open there can no longer be used.
  Result<ChownResult> SetOwner(const Caller& caller, const std::string& name,
                               const std::string& owner);
  // Limits the disk space that the branch may take beyond its initial state; no limit if empty. A
  // user cannot exceed the policy.
  Result<BranchInfo> SetQuota(const Caller& caller, const std::string& name,
                              std::optional<uint64_t> bytes);
  // From now on; never when empty.
  Result<BranchInfo> SetTtl(const Caller& caller, const std::string& name,
                            std::optional<std::chrono::seconds> ttl);

  Result<BranchInfo> Show(const std::string& name);
  Result<std::vector<BranchInfo>> List(const ListFilter& filter = {});  // by name
  Result<std::vector<std::string>> Names();
  // By id of a branch, how many branches were cloned from it that are not in the trash.
  Result<std::map<uint64_t, uint64_t>> CloneCounts();

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
