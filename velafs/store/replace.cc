// The verbs that put a branch in another state, or under another name.
#include <charconv>

#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

// `prefix` and a number: one more than the highest in use.
std::string NextName(std::string_view prefix, const std::vector<BookmarkRow>& bookmarks) {
  uint64_t last = 0;
  for (const BookmarkRow& bookmark : bookmarks) {
    if (!bookmark.name.starts_with(prefix)) continue;
    const char* const end = bookmark.name.data() + bookmark.name.size();
    uint64_t number = 0;
    const auto parsed = std::from_chars(bookmark.name.data() + prefix.size(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) last = std::max(last, number);
  }
  return std::string(prefix) + std::to_string(last + 1);
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
        "branch " + Quoted(branch.parent_name) + ", its parent, is gone",
        parent ? "`velafs undelete " + parent->name + "` brings it back, or " + hint : hint);
  }
  if (!branch.parent_bookmark_name.empty() && !origin.bookmark) {
    return NotFound("bookmark " + Quoted(parent->name + "@" + branch.parent_bookmark_name) +
                        ", its parent, is gone",
                    hint);
  }
  origin.branch = *std::move(parent);
  return origin;
}

Result<LayerId> Store::FreezeOrigin(const Origin& origin) {
  if (origin.bookmark) return origin.bookmark->layer;
  const auto freezing = freezing_.Of(origin.branch.id);
  MutexLock freeze_lock(*freezing);
  LayerId state;
  VELAFS_TRY(volume_->Freeze(origin.branch.name, [&state](catalog::Writer&, LayerId frozen) {
    state = frozen;
    return Status();
  }));
  return state;
}

Result<ResetResult> Store::Reset(const Caller& caller, const std::string& name,
                                 const std::optional<std::string>& source,
                                 const ResetOptions& options) {
  Result<ResetResult> result = RunReset(caller, name, source, options);
  if (!result.ok()) {
    const std::string to = source ? " to " + Quoted(*source) : "";
    return std::move(result).status().WithContext("cannot reset " + Quoted(name) + to);
  }
  if (options.dry_run) return result;
  TellRemoved(name);
  VELAFS_ASSIGN(result->branch, Show(name));
  return result;
}

Result<ResetResult> Store::RunReset(const Caller& caller, const std::string& name,
                                    const std::optional<std::string>& source,
                                    const ResetOptions& options) {
  if (!options.dry_run && options.keep_state) SyncAhead(caller, {.branch = name, .bookmark = ""});
  WriterLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckNotProtected(branch));
  const Status idle = CheckNotRunning(branch);
  if (!options.dry_run) VELAFS_TRY(idle);
  Origin origin;
  if (source) {
    VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(*source));
    VELAFS_ASSIGN(origin, FindOrigin(ref));
  } else {
    VELAFS_ASSIGN(origin, FindParent(branch));
  }
  if (origin.branch.id == branch.id && !origin.bookmark) {
    return UsageError("a branch cannot be reset to itself", "name another branch, or a bookmark");
  }
  VELAFS_TRY(CheckMayTake(caller, origin));

  ResetResult result;
  result.source = origin.ToString();
  result.refusal = idle.message();
  std::optional<BookmarkRow> kept;
  if (options.keep_state && !branch.is_ephemeral) {
    VELAFS_ASSIGN(kept, BeforeReset(caller, branch, result.source));
    result.bookmark = name + "@" + kept->name;
  }
  VELAFS_ASSIGN(result.branch, DescribeOne(branch));
  result.lost_bytes = result.branch.own_bytes;
  if (options.dry_run) return result;
  VELAFS_TRY(ResetTo(branch, origin, kept,
                     [&](BranchRow& row) { TakeRights(caller, origin.branch, &row); }));
  return result;
}

Result<BookmarkRow> Store::BeforeReset(const Caller& caller, const BranchRow& branch,
                                       const std::string& source) {
  BookmarkRow kept;
  kept.branch = branch.id;
  kept.root = branch.root;
  kept.created_at = NowNs();
  kept.note = "before " + branch.name + " was reset to " + source;
  VELAFS_ASSIGN(kept.expires_at,
                TimeAfter(kept.created_at, policies_->Duration("trash_keep", nullptr)));
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(branch.id));
    kept.name = NextName("before-reset-", bookmarks);
    return CheckMayAddBookmark(caller, branch, bookmarks.size());
  }));
  return kept;
}

Status Store::ResetTo(const BranchRow& branch, const Origin& origin,
                      const std::optional<BookmarkRow>& kept,
                      const std::function<void(BranchRow&)>& change) {
  VELAFS_ASSIGN(const LayerId state, FreezeOrigin(origin));
  const auto end = kept ? layer::Volume::End::kKeep : layer::Volume::End::kDiscard;
  return volume_
      ->EndInstance(branch.name, end,
                    [&](catalog::Writer& writer, BranchRow row,
                        const layer::EndedHead& old) -> Result<std::vector<LayerId>> {
                      if (kept) VELAFS_TRY(BookmarkEnded(writer, old, *kept).status());
                      VELAFS_TRY(StandOn(writer, state, origin.root(), &row));
                      change(row);
                      VELAFS_TRY(writer.UpdateBranch(row));
                      return writer.RemoveUnusedLayers(old.id);
                    })
      .status();
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
  if (!dry_run) {
    SyncAhead(caller, {.branch = name, .bookmark = ""});
    SyncAhead(caller, {.branch = target, .bookmark = ""});
  }
  WriterLock lock(verbs_mutex_);
  Origin origin;
  VELAFS_ASSIGN(origin.branch, FindBranch(name));
  VELAFS_ASSIGN(const BranchRow onto, FindBranch(target));
  if (origin.branch.id == onto.id) return UsageError("a branch is not promoted onto itself");
  VELAFS_TRY(CheckMayChange(caller, onto));
  VELAFS_TRY(CheckMayTake(caller, origin));
  VELAFS_TRY(CheckMayPromoteOnto(onto));
  VELAFS_TRY(CheckNotRunning(origin.branch));
  VELAFS_TRY(CheckNotRunning(onto));

  BookmarkRow kept;
  kept.branch = onto.id;
  kept.root = onto.root;
  kept.created_at = NowNs();
  kept.note = "before " + name + " was promoted onto it";
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(onto.id));
    kept.name = NextName("before-promote-", bookmarks);
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
    TakeRights(caller, origin.branch, &row);
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
  if (!keep_parent) VELAFS_TRY(writer.FreezeLayer(head.id, true));
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
  WriterLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckNotRunning(branch));
  VELAFS_TRY(CheckNameIsFree(new_name));
  VELAFS_TRY(CheckNamePolicy(new_name, branch));
  return volume_->Rename(name, new_name);
}

}  // namespace velafs::store
