// What goes by itself when its time has come.
#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

bool IsPast(const std::optional<TimeNs>& expires_at, TimeNs now) {
  return expires_at && *expires_at <= now;
}

}  // namespace

Result<Expired> Store::Expire(const Caller& caller, bool dry_run) {
  Expired expired;
  VELAFS_TRY(ExpireBranches(caller, dry_run, &expired));
  VELAFS_TRY(ExpireBookmarks(caller, dry_run, &expired));
  return expired;
}

Status Store::ExpireBranches(const Caller& caller, bool dry_run, Expired* expired) {
  std::vector<BranchRow> rows;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    return {};
  }));
  const TimeNs now = NowNs();
  std::erase_if(rows, [&](const BranchRow& row) {
    return !IsPast(row.expires_at, now) || !CheckMayChange(caller, row).ok();
  });
  const DeleteOptions options{.force = false, .purge = false, .dry_run = dry_run};
  for (const BranchRow& row : rows) {
    if (policies_->Get("on_expire", &row) == "keep") {
      expired->kept.push_back({row.name, "its policy is on_expire=keep"});
      continue;
    }
    const auto delete_if_past = [&]() -> Result<BranchInfo> {
      MutexLock lock(verbs_mutex_);
      VELAFS_ASSIGN(const BranchRow current, FindBranch(row.name));
      if (!IsPast(current.expires_at, now)) return NotFound("it was given more time");
      return RunDelete(caller, row.name, options);
    };
    Result<BranchInfo> deleted = delete_if_past();
    if (deleted.ok()) {
      if (!dry_run) TellRemoved(row.name);
      expired->branches.push_back(*std::move(deleted));
    } else if (deleted.status().code() == Code::kRefused) {
      expired->kept.push_back({row.name, deleted.status().message()});
    } else if (deleted.status().code() != Code::kNotFound) {
      return std::move(deleted).status().WithContext("cannot delete " + Quoted(row.name));
    }
  }
  return {};
}

Status Store::ExpireBookmarks(const Caller& caller, bool dry_run, Expired* expired) {
  MutexLock lock(verbs_mutex_);
  struct Named {
    BookmarkRow row;
    std::string name;
  };
  std::vector<Named> past;
  const TimeNs now = NowNs();
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BranchRow> branches, reader.Branches());
    for (const BranchRow& branch : branches) {
      if (!CheckMayChange(caller, branch).ok()) continue;
      VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(branch.id));
      for (const BookmarkRow& row : bookmarks) {
        if (IsPast(row.expires_at, now)) past.push_back({row, branch.name + "@" + row.name});
      }
    }
    return {};
  }));
  for (const Named& bookmark : past) {
    if (!dry_run) {
      VELAFS_TRY(RemoveBookmark(bookmark.row.branch, bookmark.row.name)
                     .WithContext("cannot delete bookmark " + Quoted(bookmark.name)));
    }
    expired->bookmarks.push_back(bookmark.name);
  }
  return {};
}

}  // namespace velafs::store
