// Finds branches and bookmarks by name, and the state that a name stands for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "velafs/base/name.h"
#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/catalog/rows.h"
#include "velafs/store/context.h"

namespace velafs::store {

// NotFound, with the nearest name in its hint, if there is no such branch.
Result<catalog::BranchRow> FindBranch(StoreContext& context, const std::string& name);
Result<std::vector<catalog::BranchRow>> Branches(StoreContext& context);
// And those in the trash.
Result<std::vector<catalog::BranchRow>> AllBranches(StoreContext& context);
// Exists if a branch has the name or an import is making it.
Status CheckNameIsFree(StoreContext& context, const std::string& name)
    REQUIRES_SHARED(context.verbs_mutex);

// NotFound, with the nearest name in its hint, if the branch has no such bookmark.
Result<catalog::BookmarkRow> FindBookmark(StoreContext& context, const catalog::BranchRow& branch,
                                          const std::string& name);
// The newest that was made by the end of the second `at` is in.
Result<catalog::BookmarkRow> FindBookmarkAt(StoreContext& context, const catalog::BranchRow& branch,
                                            TimeNs at);

// A branch, and maybe a bookmark of it, to take a state from.
struct Origin {
  catalog::BranchRow branch;
  std::optional<catalog::BookmarkRow> bookmark;
  InodeNumber root() const { return bookmark ? bookmark->root : branch.root; }
  std::string ToString() const;
};
Result<Origin> FindOrigin(StoreContext& context, const SourceRef& source);

}  // namespace velafs::store
