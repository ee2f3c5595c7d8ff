// The verbs that put a branch in another state, or under another name.
#include <charconv>

#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

constexpr std::string_view kBeforePromote = "before-promote-";

// One more than the highest number in use.
std::string NextBeforePromote(const std::vector<BookmarkRow>& bookmarks) {
  uint64_t last = 0;
  for (const BookmarkRow& bookmark : bookmarks) {
    if (!bookmark.name.starts_with(kBeforePromote)) continue;
    const char* const end = bookmark.name.data() + bookmark.name.size();
    uint64_t number = 0;
    const auto parsed = std::from_chars(bookmark.name.data() + kBeforePromote.size(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) last = std::max(last, number);
  }
  return std::string(kBeforePromote) + std::to_string(last + 1);
}

}  // namespace

Result<Store::Origin> Store::FindParent(const BranchRow& branch) {
  if (branch.parent_name.empty()) {
    return Refused("it was imported, not cloned", "say what to reset it to: --to SOURCE");
  }
  const std::string hint = "say what to reset it to: --to SOURCE";
  std::optional<BranchRow> parent;
  Origin origin;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    if (!branch.parent) return {};
    VELAFS_ASSIGN(parent, reader.BranchById(branch.parent));
    if (branch.parent_bookmark) {
      VELAFS_ASSIGN(origin.bookmark, reader.BookmarkById(branch.parent_bookmark));
    }
    return {};
  }));
  if (!parent || parent->deleted_at) {
    return NotFound(
        "branch " + Quoted(branch.parent_name) + ", which it was cloned from, is gone",
        parent ? "`velafs undelete " + parent->name + "` brings it back, or " + hint : hint);
  }
  if (!branch.parent_bookmark_name.empty() && !origin.bookmark) {
    return NotFound("bookmark " + Quoted(parent->name + "@" + branch.parent_bookmark_name) +
                        ", which it was cloned from, is gone",
                    hint);
  }
  origin.branch = *std::move(parent);
  return origin;
}

Result<LayerId> Store::FreezeOrigin(const Origin& origin) {
  if (origin.bookmark) return origin.bookmark->layer;
  LayerId state;
  VELAFS_TRY(volume_->Freeze(origin.branch.name, [&state](catalog::Writer&, LayerId frozen) {
    state = frozen;
    return Status();
  }));
  return state;
}

Result<ResetResult> Store::Reset(const Caller& caller, const std::string& name,
                                 const std::optional<std::string>& source, bool dry_run) {
  Result<ResetResult> result = RunReset(caller, name, source, dry_run);
  if (!result.ok()) {
    const std::string to = source ? " to " + Quoted(*source) : "";
    return std::move(result).status().WithContext("cannot reset " + Quoted(name) + to);
  }
  if (dry_run) return result;
  TellRemoved(name);
  VELAFS_ASSIGN(result->branch, Show(name));
  return result;
}

Result<ResetResult> Store::RunReset(const Caller& caller, const std::string& name,
                                    const std::optional<std::string>& source, bool dry_run) {
  MutexLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckNotProtected(branch));
  VELAFS_TRY(CheckNotRunning(branch));
  Origin origin;
  if (source) {
    VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(*source));
    VELAFS_ASSIGN(origin, FindOrigin(ref));
  } else {
    VELAFS_ASSIGN(origin, FindParent(branch));
  }
  if (origin.branch.id == branch.id && !origin.bookmark) {
    return UsageError("that is what it is", "name another branch, or a bookmark");
  }

  VELAFS_TRY(CheckMayTake(caller, origin));

  ResetResult result;
  result.source = origin.ToString();
  VELAFS_ASSIGN(result.branch, DescribeOne(branch));
  result.lost_bytes = result.branch.own_bytes;
  if (dry_run) return result;

  VELAFS_ASSIGN(const LayerId state, FreezeOrigin(origin));
  VELAFS_TRY(volume_
                 ->EndInstance(name, layer::Volume::End::kDiscard,
                               [&](catalog::Writer& writer, BranchRow row,
                                   const layer::EndedHead& old) -> Result<std::vector<LayerId>> {
                                 VELAFS_TRY(StandOn(writer, state, origin.root(), &row));
                                 VELAFS_TRY(writer.UpdateBranch(row));
                                 return writer.RemoveUnusedLayers(old.id);
                               })
                 .status());
  return result;
}

Result<PromoteResult> Store::Promote(const Caller& caller, const std::string& name,
                                     const std::string& target, bool dry_run) {
  Result<PromoteResult> result = RunPromote(caller, name, target, dry_run);
  if (!result.ok()) {
    return std::move(result).status().WithContext("cannot promote " + Quoted(name) + " onto " +
                                                  Quoted(target));
  }
  if (dry_run) return result;
  TellRemoved(target);
  VELAFS_ASSIGN(result->target, Show(target));
  return result;
}

Result<PromoteResult> Store::RunPromote(const Caller& caller, const std::string& name,
                                        const std::string& target, bool dry_run) {
  MutexLock lock(verbs_mutex_);
  Origin origin;
  VELAFS_ASSIGN(origin.branch, FindBranch(name));
  VELAFS_ASSIGN(const BranchRow onto, FindBranch(target));
  if (origin.branch.id == onto.id) return UsageError("a branch is not promoted onto itself");
  VELAFS_TRY(CheckMayChange(caller, onto));
  VELAFS_TRY(CheckMayTake(caller, origin));
  VELAFS_TRY(CheckNotProtected(onto));
  VELAFS_TRY(CheckNotRunning(origin.branch));
  VELAFS_TRY(CheckNotRunning(onto));

  BookmarkRow kept;
  kept.branch = onto.id;
  kept.root = onto.root;
  kept.created_at = NowNs();
  kept.note = "before " + name + " was promoted onto it";
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(onto.id));
    kept.name = NextBeforePromote(bookmarks);
    return {};
  }));
  PromoteResult result;
  result.bookmark = target + "@" + kept.name;
  VELAFS_ASSIGN(result.target, DescribeOne(onto));
  if (dry_run) return result;

  VELAFS_ASSIGN(const LayerId state, FreezeOrigin(origin));
  const auto change = [&](catalog::Writer& writer, BranchRow row,
                          const layer::EndedHead& old) -> Result<std::vector<LayerId>> {
    VELAFS_TRY(BookmarkEnded(writer, old, kept).status());
    VELAFS_TRY(StandOn(writer, state, origin.root(), &row));
    VELAFS_TRY(writer.UpdateBranch(row));
    return writer.RemoveUnusedLayers(old.id);
  };
  VELAFS_TRY(volume_->EndInstance(target, layer::Volume::End::kKeep, change).status());
  return result;
}

Result<LayerId> Store::BookmarkEnded(catalog::Writer& writer, const layer::EndedHead& head,
                                     BookmarkRow bookmark) {
  const bool keep_parent = head.is_empty && head.parent;
  bookmark.layer = keep_parent ? head.parent : head.id;
  if (!keep_parent) VELAFS_TRY(writer.FreezeLayer(head.id, head.logical_bytes));
  VELAFS_TRY(writer.AddBookmark(bookmark));
  return bookmark.layer;
}

Result<BranchInfo> Store::Rename(const Caller& caller, const std::string& name,
                                 const std::string& new_name) {
  VELAFS_TRY(CheckName("branch", new_name));
  VELAFS_TRY(RunRename(caller, name, new_name)
                 .WithContext("cannot rename " + Quoted(name) + " to " + Quoted(new_name)));
  TellRemoved(name);
  TellAdded(new_name);
  return Show(new_name);
}

Status Store::RunRename(const Caller& caller, const std::string& name,
                        const std::string& new_name) {
  MutexLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckNotRunning(branch));
  VELAFS_TRY(CheckNameIsFree(new_name));
  VELAFS_TRY(CheckNamePolicy(new_name, branch));
  return volume_->Rename(name, new_name);
}

}  // namespace velafs::store
