// The verb that tells two states apart.
#include <cerrno>

#include "velafs/layer/volume.h"
#include "velafs/store/context.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"
#include "velafs/store/state_verbs.h"

namespace velafs::store {
namespace {

Result<layer::TreeState> FindState(catalog::Reader& reader, const SourceRef& source) {
  VELAFS_ASSIGN(const std::optional<catalog::BranchRow> branch, reader.Branch(source.branch));
  if (!branch) return NoBranch(reader, source.branch);
  if (source.bookmark.empty()) return layer::TreeState{branch->head, branch->root};
  VELAFS_ASSIGN(const std::optional<catalog::BookmarkRow> bookmark,
                reader.Bookmark(branch->id, source.bookmark));
  if (!bookmark) {
    return NotFound("there is no bookmark " + Quoted(source.ToString()),
                    "`velafs bookmark list` shows the bookmarks");
  }
  return layer::TreeState{bookmark->layer, bookmark->root};
}

Result<std::vector<layer::FileDifference>> RunDiff(StoreContext& context, const SourceRef& a,
                                                   const SourceRef& b,
                                                   const std::function<bool()>& go_on) {
  for (const SourceRef* side : {&a, &b}) {
    // A branch that was not closed cleanly is recovered when it is opened.
    VELAFS_TRY(FindBranch(context, side->branch).status());
    VELAFS_ASSIGN(const auto branch, context.volume->Open(side->branch));
    if (side->bookmark.empty()) VELAFS_TRY(context.mount.SendWrites(*branch));
  }
  return layer::CompareTrees(
      *context.volume, [&a](catalog::Reader& reader) { return FindState(reader, a); },
      [&b](catalog::Reader& reader) { return FindState(reader, b); }, go_on);
}

}  // namespace

Result<std::vector<layer::FileDifference>> StateVerbs::Diff(const std::string& a,
                                                            const std::string& b,
                                                            const std::function<bool()>& go_on) {
  VELAFS_ASSIGN(const SourceRef from, ParseSourceRef(a));
  VELAFS_ASSIGN(const SourceRef to, ParseSourceRef(b));
  auto differences = RunDiff(context_, from, to, go_on);
  if (differences.ok()) return differences;
  Status failure = std::move(differences).status();
  if (failure.error_number() == ESTALE) {
    failure = Failed("one of them was deleted or replaced meanwhile");
  }
  return std::move(failure).WithContext("cannot compare " + Quoted(a) + " with " + Quoted(b));
}

}  // namespace velafs::store
