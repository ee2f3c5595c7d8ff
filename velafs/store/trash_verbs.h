// The verbs that take branches away, and bring them back.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe. A verb that returns success is durable. Only the branch's owner, root and the owner
// of the process may call these.
class TrashVerbs {
 public:
  explicit TrashVerbs(StoreContext& context) : context_(context) {}

  // Moves the branch to the trash, with its bookmarks; its name is free again. Refused if it is
  // protected, or, unless forced, if a server runs on it. Returns its last description.
  Result<BranchInfo> Delete(const Caller& caller, const std::string& name,
                            const DeleteOptions& options);
  // The same of several, each for itself, in the same order. Many share a sync.
  std::vector<Result<BranchInfo>> DeleteAll(const Caller& caller,
                                            std::span<const std::string> names,
                                            const DeleteOptions& options);
  // The branch deleted last under that name comes back, as `new_name` when given. It has its port
  // unless that was given to another, and never expires if its time has passed.
  Result<BranchInfo> Undelete(const Caller& caller, const std::string& name,
                              const std::optional<std::string>& new_name);
  Result<std::vector<BranchInfo>> List();  // the latest first
  // Deletes for good, one after the other, the caller's branches that have been in the trash for
  // longer than `older_than`, if given.
  Result<Purged> Purge(const Caller& caller, std::optional<std::chrono::seconds> older_than,
                       bool dry_run);

 private:
  std::vector<Result<BranchInfo>> DeleteBatch(const Caller& caller,
                                              std::span<const std::string> names,
                                              const DeleteOptions& options);

  StoreContext& context_;
};

}  // namespace velafs::store
