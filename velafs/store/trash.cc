// The verbs that take branches away, and bring them back.
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
#include "velafs/os/acting_as.h"
#include "velafs/os/remove_tree.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

// Removes a branch with its bookmarks, and the layers nothing else needs.
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

}  // namespace

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

Result<BranchInfo> Store::Delete(const Caller& caller, const std::string& name,
                                 const DeleteOptions& options) {
  if (!options.purge && !options.dry_run) SyncAhead(caller, {.branch = name, .bookmark = ""});
  BranchInfo info;
  {
    WriterLock lock(verbs_mutex_);
    Result<BranchInfo> deleted = RunDelete(caller, name, options);
    if (!deleted.ok()) {
      return std::move(deleted).status().WithContext("cannot delete " + Quoted(name));
    }
    info = *std::move(deleted);
  }
  if (options.dry_run) return info;
  TellRemoved(name);
  RemoveWhatIsGone(storage_, paths_.Run());
  RemoveServerPlaces(paths_.root, info.id, info.instance);
  return info;
}

Result<BranchInfo> Store::RunDelete(const Caller& caller, const std::string& name,
                                    const DeleteOptions& options, const BookmarkRow* saved) {
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckNotProtected(branch));
  if (!options.force) VELAFS_TRY(CheckNotRunning(branch));
  VELAFS_ASSIGN(const BranchInfo info, DescribeOne(branch));
  if (options.dry_run) return info;

  using Removed = Result<std::vector<LayerId>>;
  if (options.purge) {
    VELAFS_TRY(volume_
                   ->EndInstance(name, layer::Volume::End::kDiscard,
                                 [](catalog::Writer& writer, const BranchRow& row,
                                    const layer::EndedHead&) -> Removed {
                                   return RemoveForGood(writer, row);
                                 })
                   .status());
    policies_->Forget(PolicyPlace::OfBranch(branch));
  } else {
    std::optional<catalog::SettingRow> mark;
    const auto ended = volume_->EndInstance(
        name, layer::Volume::End::kKeep,
        [&](catalog::Writer& writer, BranchRow row, const layer::EndedHead& old) -> Removed {
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
        });
    if (!ended.ok()) {
      return ended.status().WithHint("to delete it without keeping it: velafs delete --purge " +
                                     name);
    }
    if (mark) policies_->Learn(*mark);
  }
  // What is left there can do no harm, and is no failure of the delete.
  SetServerPlacesAside(storage_, paths_, branch);
  return info;
}

Result<BranchInfo> Store::Undelete(const Caller& caller, const std::string& name,
                                   const std::optional<std::string>& new_name) {
  const std::string back_as = new_name.value_or(name);
  VELAFS_TRY(CheckName("branch", back_as));
  VELAFS_TRY(RunUndelete(caller, name, back_as).WithContext("cannot undelete " + Quoted(name)));
  TellAdded(back_as);
  return Show(back_as);
}

Status Store::RunUndelete(const Caller& caller, const std::string& name,
                          const std::string& new_name) {
  WriterLock lock(verbs_mutex_);
  VELAFS_ASSIGN(std::vector<BranchRow> deleted, catalog_->Read(&catalog::Reader::DeletedBranches));
  // What others have deleted under that name since is in no way.
  const auto is_named = [&name](const BranchRow& row) { return row.name == name; };
  auto found = std::ranges::find_if(deleted, [&](const BranchRow& row) {
    return is_named(row) && CheckMayChange(caller, row).ok();
  });
  if (found == deleted.end()) found = std::ranges::find_if(deleted, is_named);
  if (found == deleted.end()) {
    return NotFound("there is no branch " + Quoted(name) + " in the trash",
                    "`velafs list --trash` shows the trash");
  }
  BranchRow row = *std::move(found);
  VELAFS_TRY(CheckMayChange(caller, row));
  if (Status free = CheckNameIsFree(new_name); !free.ok()) {
    if (free.code() != Code::kExists) return free;
    return std::move(free).WithHint("bring it back under another name: --as NEW");
  }
  VELAFS_TRY(CheckBranchPolicies(row.owner, row));
  row.name = new_name;
  row.deleted_at.reset();
  if (row.expires_at && *row.expires_at <= NowNs()) row.expires_at.reset();
  return WriteDurably([&row](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const std::vector<BranchRow> branches, writer.Branches());
    if (std::ranges::any_of(branches, [&row](const BranchRow& b) { return b.port == row.port; })) {
      row.port.reset();
    }
    VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
    return writer.UpdateBranch(row);
  });
}

Result<std::vector<BranchInfo>> Store::ListTrash() {
  VELAFS_ASSIGN(std::vector<BranchRow> rows, catalog_->Read(&catalog::Reader::DeletedBranches));
  return DescribeAll(rows);
}

Result<Purged> Store::PurgeTrash(const Caller& caller,
                                 std::optional<std::chrono::seconds> older_than, bool dry_run) {
  std::optional<TimeNs> deleted_before;
  if (older_than) {
    const TimeNs now = NowNs();
    VELAFS_ASSIGN(const auto later, TimeAfter(now, older_than));
    deleted_before = now - (*later - now);
  }
  Result<Purged> purged = RunPurgeTrash(caller, deleted_before, dry_run);
  if (purged.ok()) return purged;
  return std::move(purged).status().WithContext("cannot empty the trash");
}

Result<Purged> Store::RunPurgeTrash(const Caller& caller, std::optional<TimeNs> deleted_before,
                                    bool dry_run) {
  WriterLock lock(verbs_mutex_);
  VELAFS_ASSIGN(std::vector<BranchRow> rows, catalog_->Read(&catalog::Reader::DeletedBranches));
  std::erase_if(rows, [&](const BranchRow& row) {
    return !CheckMayChange(caller, row).ok() ||
           (deleted_before && *row.deleted_at > *deleted_before);
  });
  Purged purged;
  VELAFS_ASSIGN(purged.branches, DescribeAll(rows));
  if (dry_run) {
    for (const BranchInfo& branch : purged.branches) purged.freed_bytes += branch.own_bytes;
    return purged;
  }
  for (const BranchRow& row : rows) {
    VELAFS_ASSIGN(const uint64_t freed, volume_->RemoveLayers([&row](catalog::Writer& writer) {
      return RemoveForGood(writer, row);
    }));
    policies_->Forget(PolicyPlace::OfBranch(row));
    purged.freed_bytes += freed;
  }
  return purged;
}

}  // namespace velafs::store
