// The verbs that put a branch in another state.
#pragma once

#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe. What returns success is durable. Refused to all but the owner of the branch that
// changes, root and the owner of the process.
class ReplaceVerbs {
 public:
  explicit ReplaceVerbs(StoreContext& context) : context_(context) {}

  // The branch becomes what `source` is now; by default what it was cloned from. It stays the same
  // branch: name, port, owner and the rest; its bookmarks stay too. Refused if a server runs on it
  // (a dry run only says so) or it is protected. Its old state stays as a bookmark, unless the
  // options say otherwise.
  Result<ResetResult> Reset(const Caller& caller, const std::string& name,
                            const std::optional<std::string>& source, const ResetOptions& options);
  // `target` becomes what `name` is now; what it was stays as a bookmark of it,
  // before-promote-N. Refused if a server runs on either or the target is protected.
  Result<PromoteResult> Promote(const Caller& caller, const std::string& name,
                                const std::string& target, bool dry_run);

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
