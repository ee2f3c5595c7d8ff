// Bookmarks that the daemon makes and deletes by the clock.
#include <algorithm>
#include <set>

#include "velafs/store/rules.h"
#include "velafs/store/schedule.h"
#include "velafs/store/store.h"

namespace velafs::store {

using catalog::BookmarkRow;
using catalog::BranchRow;

Result<Schedule> Store::KeepSchedules(const Caller& caller, TimeNs now) {
  MutexLock lock(schedules_mutex_);
  std::vector<BranchRow> branches;
  std::map<BranchId, std::vector<BookmarkRow>> scheduled;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(branches, reader.Branches());
    VELAFS_ASSIGN(const std::vector<BookmarkRow> rows, reader.ScheduledBookmarks());
    for (const BookmarkRow& row : rows) scheduled[row.branch].push_back(row);
    return {};
  }));
  std::set<BookmarkId> origins;
  for (const BranchRow& branch : branches) origins.insert(branch.parent_bookmark);

  Schedule done;
  const auto note = [&done](Status status) {
    if (done.failure.ok()) done.failure = std::move(status);
  };
  for (const BranchRow& branch : branches) {
    const std::vector<BookmarkRow>& bookmarks = scheduled[branch.id];
    note(MakeScheduled(caller, branch, bookmarks, now, &done)
             .WithContext("cannot make a bookmark of " + Quoted(branch.name)));
    note(ThinOutScheduled(branch, bookmarks, origins, now, &done)
             .WithContext("cannot delete a bookmark of " + Quoted(branch.name)));
  }
  return done;
}

// What has not changed since it was last looked at needs no other bookmark; and looking at it costs
// a freeze, so that is done no more often.
Status Store::MakeScheduled(const Caller& caller, const BranchRow& branch,
                            const std::vector<BookmarkRow>& bookmarks, TimeNs now, Schedule* done) {
  const auto every = policies_->Duration("bookmark_every", &branch);
  if (!every) return {};
  TimeNs& looked_at = looked_at_[branch.id];
  const TimeNs last = std::max(looked_at, bookmarks.empty() ? 0 : bookmarks.back().created_at);
  if (now - last < std::chrono::nanoseconds(*every).count()) return {};
  BookmarkRow row;
  row.branch = branch.id;
  row.name = ScheduledName(now);
  row.root = branch.root;
  row.created_at = now;
  row.is_scheduled = true;
  bool is_new = false;
  SyncAhead(caller, {.branch = branch.name, .bookmark = ""});
  ReaderLock lock(verbs_mutex_);
  const auto freezing = freezing_.Of(branch.id);
  MutexLock freeze_lock(*freezing);
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(volume_->Freeze(branch.name, [&](catalog::Writer& writer, LayerId state) -> Status {
    is_new = bookmarks.empty() || bookmarks.back().layer != state;
    if (!is_new) return {};
    row.layer = state;
    return writer.AddBookmark(row);
  }));
  looked_at = now;
  if (is_new) done->made.push_back(branch.name + "@" + row.name);
  return {};
}

Status Store::ThinOutScheduled(const BranchRow& branch, const std::vector<BookmarkRow>& bookmarks,
                               const std::set<BookmarkId>& origins, TimeNs now, Schedule* done) {
  if (bookmarks.empty()) return {};
  VELAFS_ASSIGN(const auto keep, ParseKeep(policies_->Get("bookmark_keep", &branch)));
  std::vector<TimeNs> made_at;
  for (const BookmarkRow& bookmark : bookmarks) made_at.push_back(bookmark.created_at);
  for (const size_t i : ThinOut(made_at, keep, now)) {
    const BookmarkRow& bookmark = bookmarks[i];
    if (origins.contains(bookmark.id) || policies_->IsApproved(bookmark)) continue;
    WriterLock lock(verbs_mutex_);
    const Status removed = RemoveBookmark(branch.id, bookmark.name);
    if (removed.code() == Code::kNotFound) continue;  // somebody was faster
    VELAFS_TRY(removed);
    done->removed.push_back(branch.name + "@" + bookmark.name);
  }
  return {};
}

}  // namespace velafs::store
