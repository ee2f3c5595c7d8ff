// Taking the state of a branch, and putting a branch on one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "velafs/base/name.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/catalog/rows.h"
#include "velafs/layer/volume.h"
#include "velafs/store/caller.h"
#include "velafs/store/context.h"
#include "velafs/store/lookup.h"

namespace velafs::store {

// Refused to a user if the state is neither his nor approved, and the policy asks for that.
Status CheckMayTake(StoreContext& context, const Caller& caller, const Origin& origin);
// To be called before a freeze of branch `source`, without verbs_mutex: if the caller may take its
// state, makes the kernel send cached writes to the branch, and fails if that cannot be
// stored. Then syncs it, so that the freeze holds up others only briefly; the freeze syncs what is
// left, and returns the failure.
Status SyncAhead(StoreContext& context, const Caller& caller, const SourceRef& source);
// The same before the branch is changed or given up, which happens in any case: a failure is only
// logged.
void TrySyncAhead(StoreContext& context, const Caller& caller, const std::string& branch);
// The frozen layer that is the origin's state now. It lasts while verbs_mutex is held.
Result<LayerId> FreezeOrigin(StoreContext& context, const Origin& origin)
    REQUIRES_SHARED(context.verbs_mutex);

// Gives the row a new head on `state`, of the tree with that root, and a new instance. The head
// shows the same as `state`, without the files of a server that ran on it.
Status StandOn(catalog::Writer& writer, LayerId state, InodeNumber root, catalog::BranchRow* row);
// Makes the state of a head whose branch's life ends that bookmark; returns the bookmark's layer.
Result<LayerId> BookmarkEnded(catalog::Writer& writer, const layer::EndedHead& head,
                              catalog::BookmarkRow bookmark);

// `prefix` and a number: one more than the highest that these bookmarks have.
std::string NextBookmarkName(std::string_view prefix,
                             const std::vector<catalog::BookmarkRow>& bookmarks);
// The bookmark before-reset-N that a reset of the branch makes.
Result<catalog::BookmarkRow> BeforeReset(StoreContext& context, const Caller& caller,
                                         const catalog::BranchRow& branch,
                                         const std::string& source);
// Gives the branch a new head on the origin's state, with `change` made to its row, and keeps its
// old state as that bookmark, if given.
Status ResetTo(StoreContext& context, const catalog::BranchRow& branch, const Origin& origin,
               const std::optional<catalog::BookmarkRow>& kept,
               const std::function<void(catalog::BranchRow&)>& change)
    REQUIRES(context.verbs_mutex);

}  // namespace velafs::store
