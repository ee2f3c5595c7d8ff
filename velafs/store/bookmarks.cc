// The verbs on bookmarks.
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
  return {branch.name + "@" + row.name, branch.name, row.note, row.created_at};
}

}  // namespace

Result<BookmarkInfo> Store::CreateBookmark(const Caller& caller, const std::string& name,
                                           const std::string& note) {
  VELAFS_ASSIGN(const SourceRef bookmark, ParseBookmark(name));
  Result<BookmarkInfo> info = RunCreateBookmark(caller, bookmark, note);
  if (info.ok()) return info;
  return std::move(info).status().WithContext("cannot create bookmark \"" + name + "\"");
}

Result<BookmarkInfo> Store::RunCreateBookmark(const Caller& caller, const SourceRef& bookmark,
                                              const std::string& note) {
  MutexLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(bookmark.branch));
  VELAFS_TRY(CheckMayChange(caller, branch));
  BookmarkRow row;
  row.branch = branch.id;
  row.name = bookmark.bookmark;
  row.note = note;
  row.created_at = NowNs();
  // Asked before the freeze, so that a refused bookmark leaves no layer behind.
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::optional<BookmarkRow> found, reader.Bookmark(row.branch, row.name));
    if (found) return Exists("bookmark \"" + bookmark.ToString() + "\" exists");
    return {};
  }));
  VELAFS_TRY(volume_->Freeze(branch.name, [&row](catalog::Writer& writer, LayerId frozen) {
    row.layer = frozen;
    return writer.AddBookmark(row);
  }));
  return ToInfo(branch, row);
}

Result<std::vector<BookmarkInfo>> Store::ListBookmarks(const std::optional<std::string>& branch) {
  std::vector<BranchRow> branches;
  if (branch) {
    VELAFS_ASSIGN(BranchRow row, FindBranch(*branch));
    branches.push_back(std::move(row));
  }
  std::vector<BookmarkInfo> list;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    if (!branch) {
      VELAFS_ASSIGN(branches, reader.Branches());
    }
    for (const BranchRow& row : branches) {
      VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(row.id));
      for (const BookmarkRow& bookmark : bookmarks) list.push_back(ToInfo(row, bookmark));
    }
    return {};
  }));
  return list;
}

Status Store::DeleteBookmark(const Caller& caller, const std::string& name) {
  VELAFS_ASSIGN(const SourceRef bookmark, ParseBookmark(name));
  return RunDeleteBookmark(caller, bookmark).WithContext("cannot delete bookmark \"" + name + "\"");
}

Status Store::RunDeleteBookmark(const Caller& caller, const SourceRef& bookmark) {
  MutexLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(bookmark.branch));
  VELAFS_TRY(CheckMayChange(caller, branch));
  return WriteDurably([&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const std::optional<BookmarkRow> found,
                  writer.Bookmark(branch.id, bookmark.bookmark));
    if (!found) {
      return NotFound("there is no such bookmark", "`velafs bookmark list` shows the bookmarks");
    }
    return writer.RemoveBookmark(branch.id, bookmark.bookmark);
  });
}

}  // namespace velafs::store
