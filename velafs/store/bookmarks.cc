// The verbs on bookmarks.
#include <algorithm>
#include <iterator>

#include "velafs/base/nearest.h"
#include "velafs/store/rules.h"
#include "velafs/store/store.h"

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

}  // namespace

Result<BookmarkRow> Store::FindBookmark(const BranchRow& branch, const std::string& name) {
  VELAFS_ASSIGN(std::optional<BookmarkRow> row, catalog_->Read([&](catalog::Reader& reader) {
    return reader.Bookmark(branch.id, name);
  }));
  if (row) return *std::move(row);
  return NoBookmark(branch, name);
}

Status Store::NoBookmark(const BranchRow& branch, const std::string& name) {
  std::vector<std::string> names;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BookmarkRow> rows, reader.Bookmarks(branch.id));
    for (const BookmarkRow& row : rows) names.push_back(branch.name + "@" + row.name);
    return {};
  }));
  const std::string full_name = branch.name + "@" + name;
  return NotFound("there is no bookmark " + Quoted(full_name),
                  DidYouMean(full_name, names,
                             "`velafs bookmark list " + branch.name + "` shows its bookmarks"));
}

Result<BookmarkRow> Store::FindBookmarkAt(const BranchRow& branch, TimeNs at) {
  constexpr TimeNs kSecond = 1'000'000'000;
  VELAFS_ASSIGN(std::vector<BookmarkRow> rows, catalog_->Read([&](catalog::Reader& reader) {
    return reader.Bookmarks(branch.id);
  }));
  std::erase_if(rows, [this](const BookmarkRow& row) { return policies_->IsOfOther(row); });
  // People take the time from a list, where it has no fraction.
  const TimeNs end = at / kSecond * kSecond + kSecond;
  const auto after =
      std::ranges::find_if(rows, [end](const BookmarkRow& row) { return row.created_at >= end; });
  if (after != rows.begin()) return *std::prev(after);
  const std::string none = "there is no bookmark of " + Quoted(branch.name);
  if (rows.empty()) return NotFound(none, "`velafs bookmark create` makes one");
  return NotFound(none + " from " + FormatTime(at) + " or before",
                  "the oldest is " + branch.name + "@" + rows[0].name + ", made at " +
                      FormatTime(rows[0].created_at));
}

Result<BookmarkInfo> Store::CreateBookmark(const Caller& caller, const std::string& name,
                                           const std::string& note,
                                           std::optional<std::chrono::seconds> keep) {
  VELAFS_ASSIGN(const SourceRef bookmark, ParseBookmark(name));
  VELAFS_TRY(CheckNote(note));
  Result<BookmarkInfo> info = RunCreateBookmark(caller, bookmark, note, keep);
  if (info.ok()) return info;
  return std::move(info).status().WithContext("cannot create bookmark \"" + name + "\"");
}

Result<BookmarkInfo> Store::RunCreateBookmark(const Caller& caller, const SourceRef& bookmark,
                                              const std::string& note,
                                              std::optional<std::chrono::seconds> keep) {
  SyncAhead(caller, {.branch = bookmark.branch, .bookmark = ""});
  BookmarkInfo info;
  VELAFS_ASSIGN(const catalog::CommitSequence committed,
                CommitBookmark(caller, bookmark, note, keep, &info));
  VELAFS_TRY(catalog_->MakeDurable(committed));
  return info;
}

Result<catalog::CommitSequence> Store::CommitBookmark(const Caller& caller,
                                                      const SourceRef& bookmark,
                                                      const std::string& note,
                                                      std::optional<std::chrono::seconds> keep,
                                                      BookmarkInfo* info) {
  ReaderLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(bookmark.branch));
  VELAFS_TRY(CheckMayChange(caller, branch));
  const auto freezing = freezing_.Of(branch.id);
  MutexLock freeze_lock(*freezing);
  BookmarkRow row;
  row.branch = branch.id;
  row.name = bookmark.bookmark;
  row.root = branch.root;
  row.note = note;
  row.created_at = NowNs();
  VELAFS_ASSIGN(row.expires_at, TimeAfter(row.created_at, keep));
  // Asked before the freeze, so that a refused bookmark leaves no layer behind.
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::optional<BookmarkRow> found, reader.Bookmark(row.branch, row.name));
    if (found) return Exists("bookmark \"" + bookmark.ToString() + "\" exists");
    VELAFS_ASSIGN(const std::vector<BookmarkRow> all, reader.Bookmarks(row.branch));
    return CheckMayAddBookmark(caller, branch, all.size());
  }));
  *info = ToInfo(branch, row);
  return volume_->CommitFreeze(branch.name, [&row](catalog::Writer& writer, LayerId frozen) {
    row.layer = frozen;
    return writer.AddBookmark(row);
  });
}

Result<std::vector<BookmarkInfo>> Store::ListBookmarks(const std::optional<std::string>& branch) {
  std::vector<BranchRow> branches;
  if (branch) {
    VELAFS_ASSIGN(BranchRow row, FindBranch(*branch));
    branches.push_back(std::move(row));
  }
  std::vector<BookmarkInfo> list;
  std::vector<layer::UsageOf> tops;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
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
  VELAFS_ASSIGN(const std::vector<layer::SpaceUsage> usages, volume_->UsageOfAll(tops));
  for (size_t i = 0; i < list.size(); ++i) list[i].own_bytes = usages[i].own_bytes;
  return list;
}

Status Store::DeleteBookmark(const Caller& caller, const std::string& name) {
  VELAFS_ASSIGN(const SourceRef bookmark, ParseBookmark(name));
  return RunDeleteBookmark(caller, bookmark).WithContext("cannot delete bookmark \"" + name + "\"");
}

Status Store::RunDeleteBookmark(const Caller& caller, const SourceRef& bookmark) {
  WriterLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(bookmark.branch));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(FindBookmark(branch, bookmark.bookmark).status());
  return RemoveBookmark(branch.id, bookmark.bookmark);
}

Status Store::RemoveBookmark(BranchId branch, const std::string& name) {
  const auto remove = [&](catalog::Writer& writer) -> Result<std::vector<LayerId>> {
    VELAFS_ASSIGN(const std::optional<BookmarkRow> found, writer.Bookmark(branch, name));
    if (!found) return NotFound("there is no such bookmark");
    VELAFS_TRY(writer.RemoveBookmark(branch, name));
    return writer.RemoveUnusedLayers(found->layer);
  };
  return volume_->RemoveLayers(remove).status();
}

}  // namespace velafs::store
