#include "velafs/store/lookup.h"

#include <algorithm>
#include <iterator>

#include "velafs/base/nearest.h"
#include "velafs/catalog/catalog.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/rules.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

Status NoBookmark(StoreContext& context, const BranchRow& branch, const std::string& name) {
  std::vector<std::string> names;
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BookmarkRow> rows, reader.Bookmarks(branch.id));
    for (const BookmarkRow& row : rows) names.push_back(branch.name + "@" + row.name);
    return {};
  }));
  const std::string full_name = branch.name + "@" + name;
  return NotFound("there is no bookmark " + Quoted(full_name),
                  DidYouMean(full_name, names,
                             "`velafs bookmark list " + branch.name + "` shows its bookmarks"));
}

}  // namespace

Result<BranchRow> FindBranch(StoreContext& context, const std::string& name) {
  VELAFS_TRY(CheckName("branch", name));
  return context.catalog->Read([&](catalog::Reader& reader) -> Result<BranchRow> {
    VELAFS_ASSIGN(std::optional<BranchRow> row, reader.Branch(name));
    if (!row) return NoBranch(reader, name);
    return *std::move(row);
  });
}

Result<std::vector<BranchRow>> Branches(StoreContext& context) {
  return context.catalog->Read(&catalog::Reader::Branches);
}

Result<std::vector<BranchRow>> AllBranches(StoreContext& context) {
  return context.catalog->Read([](catalog::Reader& reader) -> Result<std::vector<BranchRow>> {
    VELAFS_ASSIGN(std::vector<BranchRow> rows, reader.Branches());
    VELAFS_ASSIGN(const std::vector<BranchRow> deleted, reader.DeletedBranches());
    rows.insert(rows.end(), deleted.begin(), deleted.end());
    return rows;
  });
}

Status CheckNameIsFree(StoreContext& context, const std::string& name) {
  if (name == context.importing) return Exists("branch " + Quoted(name) + " is being imported");
  return context.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::optional<BranchRow> row, reader.Branch(name));
    return row ? Exists("branch " + Quoted(name) + " exists") : Status();
  });
}

Result<BookmarkRow> FindBookmark(StoreContext& context, const BranchRow& branch,
                                 const std::string& name) {
  VELAFS_ASSIGN(std::optional<BookmarkRow> row, context.catalog->Read([&](catalog::Reader& reader) {
    return reader.Bookmark(branch.id, name);
  }));
  if (row) return *std::move(row);
  return NoBookmark(context, branch, name);
}

Result<BookmarkRow> FindBookmarkAt(StoreContext& context, const BranchRow& branch, TimeNs at) {
  constexpr TimeNs kSecond = 1'000'000'000;
  VELAFS_ASSIGN(std::vector<BookmarkRow> rows, context.catalog->Read([&](catalog::Reader& reader) {
    return reader.Bookmarks(branch.id);
  }));
  std::erase_if(rows,
                [&context](const BookmarkRow& row) { return context.policies->IsOfOther(row); });
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

std::string Origin::ToString() const {
  return bookmark ? branch.name + "@" + bookmark->name : branch.name;
}

Result<Origin> FindOrigin(StoreContext& context, const SourceRef& source) {
  Origin origin;
  VELAFS_ASSIGN(origin.branch, FindBranch(context, source.branch));
  if (!source.bookmark.empty()) {
    VELAFS_ASSIGN(origin.bookmark, FindBookmark(context, origin.branch, source.bookmark));
  }
  return origin;
}

}  // namespace velafs::store
