#include "velafs/store/removal.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "velafs/base/server_place.h"
#include "velafs/layer/volume.h"
#include "velafs/os/acting_as.h"
#include "velafs/os/remove_tree.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/describe.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"
#include "velafs/store/states.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

// What was of branches that are gone, or of other users: these may have put anything there, in any
// amount.
constexpr std::string_view kGone = ".gone-";

// Where a branch's servers may have been outside the store.
std::vector<std::string> ServerPlaces(const std::string& store, uint64_t branch_id) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(store.c_str(), nullptr),
                                                         std::free);
  if (!real) return {};
  return {PlaceOfRoots(real.get(), branch_id), PlaceInTmp(real.get(), branch_id)};
}

std::string GoneName(const std::string& place, uint64_t instance) {
  return place + std::string(kGone) + std::to_string(instance);
}

using Removed = Result<std::vector<LayerId>>;
using Ended = Result<layer::Volume::Ended>;

Ended Discard(StoreContext& context, const BranchRow& branch) {
  const auto remove = [](catalog::Writer& writer, const BranchRow& row,
                         const layer::EndedHead&) -> Removed { return RemoveForGood(writer, row); };
  Ended ended = context.volume->CommitEnd(branch.name, layer::Volume::End::kDiscard, remove);
  if (ended.ok()) context.policies->Forget(PolicyPlace::OfBranch(branch));
  return ended;
}

// See DeleteBranch.
Ended MoveToTrash(StoreContext& context, const BranchRow& branch, const BookmarkRow* saved) {
  std::optional<catalog::SettingRow> mark;
  const auto move = [&](catalog::Writer& writer, BranchRow row,
                        const layer::EndedHead& old) -> Removed {
    row.deleted_at = NowNs();
    if (saved != nullptr) {
      VELAFS_ASSIGN(const LayerId state, BookmarkEnded(writer, old, *saved));
      const LayerId first_layer = row.first_layer;
      if (state == old.id) VELAFS_TRY(StandOn(writer, state, row.root, &row));
      row.first_layer = first_layer;
      VELAFS_ASSIGN(const auto made, writer.Bookmark(saved->branch, saved->name));
      if (!made) return Corrupt("a bookmark that was made is not in the catalog");
      mark = Policies::StateOfOther(made->id, branch.name);
      VELAFS_TRY(writer.PutSetting(*mark));
    }
    VELAFS_TRY(writer.UpdateBranch(row));
    return std::vector<LayerId>();
  };
  Ended ended = context.volume->CommitEnd(branch.name, layer::Volume::End::kKeep, move);
  if (!ended.ok()) {
    return std::move(ended).status().WithHint(
        "to delete it without keeping it: velafs delete --purge " + branch.name);
  }
  if (mark) context.policies->Learn(*mark);
  return ended;
}

}  // namespace

Result<DeletedBranch> CommitDelete(StoreContext& context, const Caller& caller,
                                   const std::string& name, const DeleteOptions& options,
                                   const BookmarkRow* saved) {
  DeletedBranch deleted;
  VELAFS_ASSIGN(deleted.row, FindBranch(context, name));
  const BranchRow& branch = deleted.row;
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckNotProtected(branch));
  if (!options.force) VELAFS_TRY(CheckNotRunning(context, branch));
  VELAFS_ASSIGN(deleted.info, DescribeOne(context, branch));
  if (options.dry_run) return deleted;
  VELAFS_ASSIGN(deleted.ended,
                options.purge ? Discard(context, branch) : MoveToTrash(context, branch, saved));
  return deleted;
}

Status FinishDeletes(StoreContext& context, const std::vector<DeletedBranch>& deleted) {
  std::vector<layer::Volume::Ended> ends;
  for (const DeletedBranch& branch : deleted) ends.push_back(branch.ended);
  VELAFS_TRY(context.volume->FinishEnds(ends).status());
  // What is left there can do no harm, and is no failure of the delete.
  for (const DeletedBranch& branch : deleted) {
    SetServerPlacesAside(context.storage, context.paths, branch.row);
  }
  return {};
}

Result<BranchInfo> DeleteBranch(StoreContext& context, const Caller& caller,
                                const std::string& name, const DeleteOptions& options,
                                const BookmarkRow* saved) {
  VELAFS_ASSIGN(DeletedBranch deleted, CommitDelete(context, caller, name, options, saved));
  if (!options.dry_run) VELAFS_TRY(FinishDeletes(context, {deleted}));
  return std::move(deleted.info);
}

Result<std::vector<LayerId>> RemoveForGood(catalog::Writer& writer, const BranchRow& branch) {
  VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, writer.Bookmarks(branch.id));
  std::vector<LayerId> tops = {branch.head};
  for (const BookmarkRow& bookmark : bookmarks) tops.push_back(bookmark.layer);
  // A layer's id is greater than those below it: those that stand on others go first.
  std::sort(tops.begin(), tops.end(), std::greater<>());
  VELAFS_TRY(writer.RemoveBranch(branch.id));
  std::vector<LayerId> removed;
  for (const LayerId top : tops) {
    VELAFS_ASSIGN(const std::vector<LayerId> layers, writer.RemoveUnusedLayers(top));
    removed.insert(removed.end(), layers.begin(), layers.end());
  }
  return removed;
}

Status RemoveBookmark(StoreContext& context, BranchId branch, const std::string& name) {
  const auto remove = [&](catalog::Writer& writer) -> Result<std::vector<LayerId>> {
    VELAFS_ASSIGN(const std::optional<BookmarkRow> found, writer.Bookmark(branch, name));
    if (!found) return NotFound("there is no such bookmark");
    VELAFS_TRY(writer.RemoveBookmark(branch, name));
    return writer.RemoveUnusedLayers(found->layer);
  };
  return context.volume->RemoveLayers(remove).status();
}

// By the instance, since an undeleted branch, or one that was given away, has its number, and its
// directory, again.
void SetServerPlacesAside(os::Storage& storage, const StorePaths& paths, const BranchRow& branch) {
  const std::string run = paths.Run();
  for (const std::string& place : ServerPlaces(paths.root, branch.id.value)) {
    std::rename(place.c_str(), GoneName(place, branch.instance.value).c_str());
  }
  const std::string gone = run + "/" + std::string(kGone) + std::to_string(branch.instance.value);
  const Status moved = storage.Rename(run + "/" + std::to_string(branch.id.value), gone);
  if (!moved.ok() && moved.error_number() != ENOENT) spdlog::warn("{}", moved.message());
}

void RemoveWhatIsGone(os::Storage& storage, const std::string& run) {
  const auto entries = storage.List(run);
  if (!entries.ok()) return;
  for (const os::DirectoryEntry& entry : *entries) {
    if (!entry.name.starts_with(kGone)) continue;
    const Status removed = storage.RemoveTree(run + "/" + entry.name);
    if (!removed.ok()) spdlog::warn("{}", removed.message());
  }
}

void RemoveServerPlaces(const std::string& store, uint64_t branch_id, uint64_t instance) {
  for (const std::string& place : ServerPlaces(store, branch_id)) {
    const std::string gone = GoneName(place, instance);
    const os::UniqueFd fd(open(gone.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info;
    if (!fd || fstat(fd.get(), &info) != 0) continue;
    {
      const auto acting = os::ActingAs::Begin({info.st_uid, info.st_gid});
      if (!acting.ok()) continue;
      const Status emptied = os::EmptyDirectory(fd.get(), gone);
      if (!emptied.ok()) spdlog::warn("{}", emptied.message());
    }
    rmdir(gone.c_str());
  }
}

}  // namespace velafs::store
