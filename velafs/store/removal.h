// Removes branches and bookmarks, and files that servers have left.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/catalog/rows.h"
#include "velafs/layer/volume.h"
#include "velafs/store/branch_info.h"
#include "velafs/store/caller.h"
#include "velafs/store/context.h"

namespace velafs::store {

struct DeleteOptions;

// A branch that is deleted, but not durably, and what is left to be done.
struct DeletedBranch {
  BranchInfo info;  // what it was
  catalog::BranchRow row;
  layer::Volume::Ended ended;
};
// See TrashVerbs::Delete, but for the mount, which the caller tells. With `saved`, the branch's
// state stays as that bookmark; in the same transaction.
Result<DeletedBranch> CommitDelete(StoreContext& context, const Caller& caller,
                                   const std::string& name, const DeleteOptions& options,
                                   const catalog::BookmarkRow* saved = nullptr)
    REQUIRES(context.verbs_mutex);
// Makes them durable, by one sync.
Status FinishDeletes(StoreContext& context, const std::vector<DeletedBranch>& deleted)
    REQUIRES(context.verbs_mutex);
// Both, of one.
Result<BranchInfo> DeleteBranch(StoreContext& context, const Caller& caller,
                                const std::string& name, const DeleteOptions& options,
                                const catalog::BookmarkRow* saved = nullptr)
    REQUIRES(context.verbs_mutex);
// Removes a branch with its bookmarks, and the layers nothing else needs; returns those.
Result<std::vector<LayerId>> RemoveForGood(catalog::Writer& writer,
                                           const catalog::BranchRow& branch);
// For good; NotFound if the branch has none of that name.
Status RemoveBookmark(StoreContext& context, BranchId branch, const std::string& name)
    REQUIRES(context.verbs_mutex);

// Moves aside files that the branch's servers have left, in run/ and outside the store, since they
// belong to another user or to a deleted branch. Best effort.
void SetServerPlacesAside(os::Storage& storage, const StorePaths& paths,
                          const catalog::BranchRow& branch);
// Removes the files set aside in run/, as far as possible: users who may write there can make it
// slow. Call it without a lock that others wait for.
void RemoveWhatIsGone(os::Storage& storage, const std::string& run);
// Removes the files set aside outside the store for this branch, with the rights of their owner.
// Best effort; call it without such a lock, too.
void RemoveServerPlaces(const std::string& store, uint64_t branch_id, uint64_t instance);

}  // namespace velafs::store
