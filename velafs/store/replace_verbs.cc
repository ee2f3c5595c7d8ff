#include "velafs/store/replace_verbs.h"

#include "velafs/store/context.h"
#include "velafs/store/describe.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"
#include "velafs/store/states.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

// What the branch was cloned from, as far as it is still there.
Result<Origin> FindParent(StoreContext& context, const BranchRow& branch) {
  if (branch.parent_name.empty()) {
    return Refused("it was imported, not cloned", "say what to reset it to: --to SOURCE");
  }
  const std::string hint = "say what to reset it to: --to SOURCE";
  std::optional<BranchRow> parent;
  Origin origin;
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
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

// What a reset of the branch takes: `source`, or what it was cloned from.
Result<Origin> FindResetOrigin(StoreContext& context, const std::string& name,
                               const std::optional<std::string>& source) {
  if (source) {
    VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(*source));
    return FindOrigin(context, ref);
  }
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(context, name));
  return FindParent(context, branch);
}

Result<ResetResult> RunReset(StoreContext& context, const Caller& caller, const std::string& name,
                             const std::optional<std::string>& source,
                             const ResetOptions& options) {
  if (!options.dry_run) {
    if (options.keep_state) TrySyncAhead(context, caller, name);
    const Result<Origin> origin = FindResetOrigin(context, name, source);
    if (origin.ok() && !origin->bookmark) {
      VELAFS_TRY(SyncAhead(context, caller, {.branch = origin->branch.name, .bookmark = ""}));
    }
  }
  WriterLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(context, name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckNotProtected(branch));
  const Status idle = CheckNotRunning(context, branch);
  if (!options.dry_run) VELAFS_TRY(idle);
  VELAFS_ASSIGN(const Origin origin, FindResetOrigin(context, name, source));
  if (origin.branch.id == branch.id && !origin.bookmark) {
    return UsageError("a branch cannot be reset to itself", "name another branch, or a bookmark");
  }
  VELAFS_TRY(CheckMayTake(context, caller, origin));

  ResetResult result;
  result.source = origin.ToString();
  result.refusal = idle.message();
  std::optional<BookmarkRow> kept;
  if (options.keep_state && !branch.is_ephemeral) {
    VELAFS_ASSIGN(kept, BeforeReset(context, caller, branch, result.source));
    result.bookmark = name + "@" + kept->name;
  }
  VELAFS_ASSIGN(result.branch, DescribeOne(context, branch));
  result.lost_bytes = result.branch.own_bytes;
  if (options.dry_run) return result;
  VELAFS_TRY(ResetTo(context, branch, origin, kept,
                     [&](BranchRow& row) { TakeRights(caller, origin.branch, &row); }));
  return result;
}

Result<PromoteResult> RunPromote(StoreContext& context, const Caller& caller,
                                 const std::string& name, const std::string& target, bool dry_run) {
  if (!dry_run) {
    VELAFS_TRY(SyncAhead(context, caller, {.branch = name, .bookmark = ""}));
    TrySyncAhead(context, caller, target);
  }
  WriterLock lock(context.verbs_mutex);
  Origin origin;
  VELAFS_ASSIGN(origin.branch, FindBranch(context, name));
  VELAFS_ASSIGN(const BranchRow onto, FindBranch(context, target));
  if (origin.branch.id == onto.id) return UsageError("a branch cannot be promoted onto itself");
  VELAFS_TRY(CheckMayChange(caller, onto));
  VELAFS_TRY(CheckMayTake(context, caller, origin));
  VELAFS_TRY(CheckMayPromoteOnto(onto));
  VELAFS_TRY(CheckNotRunning(context, origin.branch));
  VELAFS_TRY(CheckNotRunning(context, onto));

  BookmarkRow kept;
  kept.branch = onto.id;
  kept.root = onto.root;
  kept.created_at = NowNs();
  kept.note = "before " + name + " was promoted onto it";
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BookmarkRow> bookmarks, reader.Bookmarks(onto.id));
    kept.name = NextBookmarkName("before-promote-", bookmarks);
    return {};
  }));
  PromoteResult result;
  result.bookmark = target + "@" + kept.name;
  VELAFS_ASSIGN(result.target, DescribeOne(context, onto));
  if (dry_run) return result;

  VELAFS_TRY(ResetTo(context, onto, origin, kept,
                     [&](BranchRow& row) { TakeRights(caller, origin.branch, &row); }));
  return result;
}

}  // namespace

Result<ResetResult> ReplaceVerbs::Reset(const Caller& caller, const std::string& name,
                                        const std::optional<std::string>& source,
                                        const ResetOptions& options) {
  Result<ResetResult> result = RunReset(context_, caller, name, source, options);
  if (!result.ok()) {
    const std::string to = source ? " to " + Quoted(*source) : "";
    return std::move(result).status().WithContext("cannot reset " + Quoted(name) + to);
  }
  if (options.dry_run) return result;
  context_.mount.TellRemoved(name);
  VELAFS_ASSIGN(result->branch, ShowBranch(context_, name));
  return result;
}

Result<PromoteResult> ReplaceVerbs::Promote(const Caller& caller, const std::string& name,
                                            const std::string& target, bool dry_run) {
  Result<PromoteResult> result = RunPromote(context_, caller, name, target, dry_run);
  if (!result.ok()) {
    return std::move(result).status().WithContext("cannot promote " + Quoted(name) + " onto " +
                                                  Quoted(target));
  }
  if (dry_run) return result;
  context_.mount.TellRemoved(target);
  VELAFS_ASSIGN(result->target, ShowBranch(context_, target));
  return result;
}

}  // namespace velafs::store
