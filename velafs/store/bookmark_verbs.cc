#include "velafs/store/bookmark_verbs.h"

#include "velafs/base/name.h"
#include "velafs/layer/volume.h"
#include "velafs/store/context.h"
#include "velafs/store/lookup.h"
#include "velafs/store/removal.h"
#include "velafs/store/rules.h"
#include "velafs/store/states.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

Result<SourceRef> ParseBookmark(const std::string& name) {
  VELAFS_ASSIGN(SourceRef ref, ParseSourceRef(name));
  if (!ref.bookmark.empty()) return ref;
  return UsageError("\"" + name + "\" is not the name of a bookmark", "write it as BRANCH@NAME");
}

BookmarkInfo ToInfo(const BranchRow& branch, const BookmarkRow& row) {
  BookmarkInfo info;
  info.name = branch.name + "@" + row.name;
  info.branch = branch.name;
  info.note = row.note;
  info.created_at = row.created_at;
  info.expires_at = row.expires_at;
  info.is_scheduled = row.is_scheduled;
  return info;
}

// Visible on return, not yet durable.
Result<catalog::CommitSequence> CommitBookmark(StoreContext& context, const Caller& caller,
                                               const SourceRef& bookmark, const std::string& note,
                                               std::optional<std::chrono::seconds> keep,
                                               BookmarkInfo* info) {
  ReaderLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(context, bookmark.branch));
  VELAFS_TRY(CheckMayChange(caller, branch));
  const auto freezing = context.freezing.Of(branch.id);
  MutexLock freeze_lock(*freezing);
  BookmarkRow row;
  row.branch = branch.id;
  row.name = bookmark.bookmark;
  row.root = branch.root;
  row.note = note;
  row.created_at = NowNs();
  VELAFS_ASSIGN(row.expires_at, TimeAfter(row.created_at, keep));
  // Asked before the freeze, so that a refused bookmark leaves no layer behind.
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::optional<BookmarkRow> found, reader.Bookmark(row.branch, row.name));
    if (found) return Exists("bookmark \"" + bookmark.ToString() + "\" exists");
    VELAFS_ASSIGN(const std::vector<BookmarkRow> all, reader.Bookmarks(row.branch));
    return CheckMayAddBookmark(caller, branch, all.size());
  }));
  *info = ToInfo(branch, row);
  return context.volume->CommitFreeze(branch.name, [&row](catalog::Writer& writer, LayerId frozen) {
    row.layer = frozen;
    return writer.AddBookmark(row);
  });
}

Result<BookmarkInfo> RunCreate(StoreContext& context, const Caller& caller,
                               const SourceRef& bookmark, const std::string& note,
                               std::optional<std::chrono::seconds> keep) {
  VELAFS_TRY(SyncAhead(context, caller, {.branch = bookmark.branch, .bookmark = ""}));
  BookmarkInfo info;
  VELAFS_ASSIGN(const catalog::CommitSequence committed,
                CommitBookmark(context, caller, bookmark, note, keep, &info));
  VELAFS_TRY(context.catalog->MakeDurable(committed));
  return info;
}

Status RunDelete(StoreContext& context, const Caller& caller, const SourceRef& bookmark) {
  WriterLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(context, bookmark.branch));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(FindBookmark(context, branch, bookmark.bookmark).status());
  return RemoveBookmark(context, branch.id, bookmark.bookmark);
}

}  // namespace

Result<BookmarkInfo> BookmarkVerbs::Create(const Caller& caller, const std::string& name,
                                           const std::string& note,
                                           std::optional<std::chrono::seconds> keep) {
  VELAFS_ASSIGN(const SourceRef bookmark, ParseBookmark(name));
  VELAFS_TRY(CheckNote(note));
  Result<BookmarkInfo> info = RunCreate(context_, caller, bookmark, note, keep);
  if (info.ok()) return info;
  return std::move(info).status().WithContext("cannot create bookmark \"" + name + "\"");
}

Result<std::vector<BookmarkInfo>> BookmarkVerbs::List(const std::optional<std::string>& branch) {
  std::vector<BranchRow> branches;
  if (branch) {
    VELAFS_ASSIGN(BranchRow row, FindBranch(context_, *branch));
    branches.push_back(std::move(row));
  }
  std::vector<BookmarkInfo> list;
  std::vector<layer::UsageOf> tops;
  VELAFS_TRY(context_.catalog->Read([&](catalog::Reader& reader) -> Status {
    if (!branch) {
      VELAFS_ASSIGN(branches, reader.Branches());
    }
    for (const BranchRow& row : branches) {
      VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(row.id));
      for (const BookmarkRow& bookmark : bookmarks) {
        list.push_back(ToInfo(row, bookmark));
        tops.push_back({bookmark.layer, InstanceId()});
      }
    }
    return {};
  }));
  VELAFS_ASSIGN(const std::vector<layer::SpaceUsage> usages, context_.volume->UsageOfAll(tops));
  for (size_t i = 0; i < list.size(); ++i) list[i].own_bytes = usages[i].own_bytes;
  return list;
}

Status BookmarkVerbs::Delete(const Caller& caller, const std::string& name) {
  VELAFS_ASSIGN(const SourceRef bookmark, ParseBookmark(name));
  return RunDelete(context_, caller, bookmark)
      .WithContext("cannot delete bookmark \"" + name + "\"");
}

}  // namespace velafs::store
