// The verbs on bookmarks.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe. A verb that returns success is durable. A name is BRANCH@NAME. Only the branch's
// owner, root and the owner of the process may change bookmarks.
class BookmarkVerbs {
 public:
  explicit BookmarkVerbs(StoreContext& context) : context_(context) {}

  Result<BookmarkInfo> Create(const Caller& caller, const std::string& name,
                              const std::string& note,
                              std::optional<std::chrono::seconds> keep = {});
  // Those of one branch, or of all: by branch, oldest first.
  Result<std::vector<BookmarkInfo>> List(const std::optional<std::string>& branch);
  Status Delete(const Caller& caller, const std::string& name);

  // Makes the bookmarks that the policy bookmark_every asks for, and deletes earlier scheduled ones
  // that bookmark_keep no longer keeps, except those that are approved or that a branch was cloned
  // from. A branch that has not changed gets none.
  Result<Schedule> RunSchedules(const Caller& caller, TimeNs now);

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
