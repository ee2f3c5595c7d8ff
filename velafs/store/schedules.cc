// Bookmarks that the daemon makes and deletes by the clock.
#include <algorithm>
#include <set>

#include "velafs/layer/volume.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/context.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/removal.h"
#include "velafs/store/rules.h"
#include "velafs/store/schedule.h"
#include "velafs/store/states.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

// What has not changed since it was last looked at needs no other bookmark; and looking at it costs
// a freeze, so that is done no more often.
Status MakeScheduled(StoreContext& context, const Caller& caller, const BranchRow& branch,
                     const std::vector<BookmarkRow>& bookmarks, TimeNs now, Schedule* done)
    REQUIRES(context.schedules_mutex) {
  const auto every = context.policies->Duration("bookmark_every", &branch);
  if (!every) return {};
  TimeNs& looked_at = context.looked_at[branch.id];
  const TimeNs last = std::max(looked_at, bookmarks.empty() ? 0 : bookmarks.back().created_at);
  if (now - last < std::chrono::nanoseconds(*every).count()) return {};
  BookmarkRow row;
  row.branch = branch.id;
  row.name = ScheduledName(now);
  row.root = branch.root;
  row.created_at = now;
  row.is_scheduled = true;
  bool is_new = false;
  VELAFS_TRY(SyncAhead(context, caller, {.branch = branch.name, .bookmark = ""}));
  ReaderLock lock(context.verbs_mutex);
  const auto freezing = context.freezing.Of(branch.id);
  MutexLock freeze_lock(*freezing);
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(
      context.volume->Freeze(branch.name, [&](catalog::Writer& writer, LayerId state) -> Status {
        is_new = bookmarks.empty() || bookmarks.back().layer != state;
        if (!is_new) return {};
        row.layer = state;
        return writer.AddBookmark(row);
      }));
  looked_at = now;
  if (is_new) done->made.push_back(branch.name + "@" + row.name);
  return {};
}

Status ThinOutScheduled(StoreContext& context, const BranchRow& branch,
                        const std::vector<BookmarkRow>& bookmarks,
                        const std::set<BookmarkId>& origins, TimeNs now, Schedule* done) {
  if (bookmarks.empty()) return {};
  VELAFS_ASSIGN(const auto keep, ParseKeep(context.policies->Get("bookmark_keep", &branch)));
  std::vector<TimeNs> made_at;
  for (const BookmarkRow& bookmark : bookmarks) made_at.push_back(bookmark.created_at);
  for (const size_t i : ThinOut(made_at, keep, now)) {
    const BookmarkRow& bookmark = bookmarks[i];
    if (origins.contains(bookmark.id) || context.policies->IsApproved(bookmark)) continue;
    WriterLock lock(context.verbs_mutex);
    const Status removed = RemoveBookmark(context, branch.id, bookmark.name);
    if (removed.code() == Code::kNotFound) continue;  // somebody was faster
    VELAFS_TRY(removed);
    done->removed.push_back(branch.name + "@" + bookmark.name);
  }
  return {};
}

}  // namespace

Result<Schedule> BookmarkVerbs::RunSchedules(const Caller& caller, TimeNs now) {
  MutexLock lock(context_.schedules_mutex);
  std::vector<BranchRow> branches;
  std::map<BranchId, std::vector<BookmarkRow>> scheduled;
  VELAFS_TRY(context_.catalog->Read([&](catalog::Reader& reader) -> Status {
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
    note(MakeScheduled(context_, caller, branch, bookmarks, now, &done)
             .WithContext("cannot make a bookmark of " + Quoted(branch.name)));
    note(ThinOutScheduled(context_, branch, bookmarks, origins, now, &done)
             .WithContext("cannot delete a bookmark of " + Quoted(branch.name)));
  }
  return done;
}

}  // namespace velafs::store
