// The verbs that put a branch in another state.
#pragma once

#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe. A verb that returns success is durable. Only the owner of the changed branch, root
// and the owner of the process may call these.
class ReplaceVerbs {
 public:
  explicit ReplaceVerbs(StoreContext& context) : context_(context) {}

  // The branch gets the present state of `source`, by default of its parent. It stays the same
  // branch: name, port, owner and the rest; its bookmarks stay too. Refused if a server runs on it
  // (a dry run only says so) or it is protected. Its old state is kept as a bookmark, unless the
  // options say otherwise.
  Result<ResetResult> Reset(const Caller& caller, const std::string& name,
                            const std::optional<std::string>& source, const ResetOptions& options);
  // `target` gets the present state of `name`; its old state is kept as its bookmark
  // before-promote-N. Refused if a server runs on either or the target is protected.
  Result<PromoteResult> Promote(const Caller& caller, const std::string& name,
                                const std::string& target, bool dry_run);

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
