// The verb that makes a branch out of a state, and what it does with one that is there already.
#include <unistd.h>

#include <cerrno>

#include "velafs/layer/volume.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/context.h"
#include "velafs/store/describe.h"
#include "velafs/store/govern/limits.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"
#include "velafs/store/states.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

using catalog::BookmarkRow;
using catalog::BranchRow;

constexpr int kMostTries = 8;

Status CheckOptions(const CloneOptions& options) {
  if (options.owner) VELAFS_TRY(CheckOwner(*options.owner));
  for (const auto& [key, value] : options.labels) VELAFS_TRY(CheckLabel(key, value));
  VELAFS_TRY(CheckLabels(options.labels));
  return CheckNote(options.note);
}

Result<std::optional<catalog::FileOwner>> ShownAs(const Caller& caller,
                                                  const CloneOptions& options) {
  using Shown = std::optional<catalog::FileOwner>;
  const bool is_served_by_root = geteuid() == 0;
  if (!options.as_user) {
    const bool is_guest = is_served_by_root && !caller.IsAdmin();
    return is_guest ? Shown({caller.uid, caller.gid}) : Shown();
  }
  if (*options.as_user == "none") return Shown();
  VELAFS_ASSIGN(const catalog::FileOwner owner, FindFileOwner(*options.as_user));
  const bool has_group = options.as_user->find(':') != std::string::npos;
  if (!caller.IsAdmin() && (owner.uid != caller.uid || has_group)) {
    return Refused("only an admin can make branches for others", "leave out --as-user");
  }
  if (is_served_by_root || owner.uid == geteuid()) return Shown(owner);
  return Refused("only a store that root serves can show files as those of another user",
                 "leave out --as-user");
}

// The row of a new clone of `from`, which stands on nothing yet. Refused if the caller may not
// make that branch.
Result<BranchRow> PlanClone(StoreContext& context, const Caller& caller, const Origin& from,
                            const std::string& name, const CloneOptions& options)
    REQUIRES_SHARED(context.verbs_mutex) {
  VELAFS_TRY(CheckNameIsFree(context, name));
  VELAFS_TRY(CheckNamePolicy(context, name, from.branch));
  const std::string owner = options.owner.value_or(caller.user);
  if (owner != caller.user && !caller.IsAdmin()) {
    return Refused("only an admin can make branches for others", "leave out --owner");
  }
  VELAFS_TRY(CheckBranchPolicies(context, owner, from.branch));

  BranchRow row;
  row.name = name;
  row.parent = from.branch.id;
  row.parent_name = from.branch.name;
  if (from.bookmark) {
    row.parent_bookmark = from.bookmark->id;
    row.parent_bookmark_name = from.bookmark->name;
  }
  row.owner = owner;
  row.created_at = NowNs();
  VELAFS_ASSIGN(const auto ttl, CloneTtl(context, options.ttl, from.branch));
  VELAFS_ASSIGN(row.expires_at, TimeAfter(row.created_at, ttl));
  row.note = options.note;
  row.labels = options.labels;
  VELAFS_ASSIGN(row.shown_as, ShownAs(caller, options));
  // What somebody wrote into the source is run with no more rights on its clone, unless an admin
  // wants that.
  const bool is_left_open = !options.as_user || (*options.as_user == "none" && !caller.IsAdmin());
  if (!row.shown_as && is_left_open) row.shown_as = from.branch.shown_as;
  row.is_ephemeral = options.is_ephemeral;
  VELAFS_ASSIGN(row.quota_bytes, CloneQuota(context, caller, options.quota_bytes, from.branch));
  return row;
}

// Visible on return, not yet durable.
Result<catalog::CommitSequence> CommitClone(StoreContext& context, const Caller& caller,
                                            const SourceRef& source, const std::string& name,
                                            const CloneOptions& options) {
  ReaderLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(Origin from, FindOrigin(context, source));
  if (options.at) {
    VELAFS_ASSIGN(from.bookmark, FindBookmarkAt(context, from.branch, *options.at));
  }
  VELAFS_TRY(CheckMayTake(context, caller, from));
  VELAFS_ASSIGN(BranchRow row, PlanClone(context, caller, from, name, options));
  const auto add_branch = [&](catalog::Writer& writer, LayerId state) -> Status {
    if (HasBranchLimits(context, from.branch)) {
      // Others may have made branches since these were counted.
      VELAFS_ASSIGN(const std::vector<BranchRow> branches, writer.Branches());
      VELAFS_TRY(CheckBranchCounts(context, row.owner, from.branch, branches));
    }
    VELAFS_TRY(StandOn(writer, state, from.root(), &row));
    VELAFS_ASSIGN(row.id, writer.AddBranch(row));
    if (!options.is_isolated) return {};
    return writer.PutSetting(Policies::Isolated(PolicyPlace::OfBranch(row)));
  };
  const auto commit = [&]() -> Result<catalog::CommitSequence> {
    if (from.bookmark) {
      return context.catalog->Write(
          [&](catalog::Writer& writer) { return add_branch(writer, from.bookmark->layer); });
    }
    const auto freezing = context.freezing.Of(from.branch.id);
    MutexLock freeze_lock(*freezing);
    return context.volume->CommitFreeze(from.branch.name, add_branch);
  };
  VELAFS_ASSIGN(const catalog::CommitSequence committed, commit());
  if (options.is_isolated) context.policies->Learn(Policies::Isolated(PolicyPlace::OfBranch(row)));
  return committed;
}

Status RunClone(StoreContext& context, const Caller& caller, const SourceRef& source,
                const std::string& name, const CloneOptions& options) {
  if (!options.at) VELAFS_TRY(SyncAhead(context, caller, source));
  VELAFS_ASSIGN(const catalog::CommitSequence committed,
                CommitClone(context, caller, source, name, options));
  // With no lock held: clones that are made at the same time share a sync.
  return context.catalog->MakeDurable(committed);
}

std::string SourceOf(const BranchRow& branch) {
  if (branch.parent_name.empty()) return "";
  return branch.parent_bookmark_name.empty()
             ? branch.parent_name
             : branch.parent_name + "@" + branch.parent_bookmark_name;
}

BookmarkId BookmarkOf(const Origin& origin) {
  return origin.bookmark ? origin.bookmark->id : BookmarkId();
}

// Refused unless the branch is what a clone of `origin` with these options would be.
Status CheckIsSuchAClone(const Caller& caller, const BranchRow& branch, const Origin& origin,
                         const CloneOptions& options) {
  const std::string exists = "branch " + Quoted(branch.name) + " exists, and ";
  const std::string delete_first =
      "choose another name, or delete it first: velafs delete " + branch.name;
  const bool is_from_there =
      branch.parent == origin.branch.id &&
      (options.if_exists == IfExists::kReset || branch.parent_bookmark == BookmarkOf(origin));
  if (!is_from_there) {
    const std::string from = SourceOf(branch);
    return Refused(exists + "it was " + (from.empty() ? "imported" : "cloned from " + Quoted(from)),
                   delete_first);
  }
  if (branch.owner != options.owner.value_or(caller.user)) {
    return Refused(exists + "it belongs to " + Quoted(branch.owner), "choose another name");
  }
  if (branch.is_ephemeral != options.is_ephemeral) {
    return Refused(exists + "it is " + (branch.is_ephemeral ? "" : "not ") + "ephemeral",
                   delete_first);
  }
  VELAFS_ASSIGN(const auto shown_as, ShownAs(caller, options));
  if (!options.as_user || branch.shown_as == shown_as) return {};
  return Refused(exists + "its files are shown as another user's", delete_first);
}

// The branch that is there instead of a new clone: see CloneOptions::if_exists. Errno ESTALE when
// it is gone by now.
Status TakeExisting(StoreContext& context, const Caller& caller, const SourceRef& source,
                    const std::string& name, const CloneOptions& options) {
  if (options.if_exists == IfExists::kReset) TrySyncAhead(context, caller, name);
  WriterLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(Origin origin, FindOrigin(context, source));
  if (options.at) {
    VELAFS_ASSIGN(origin.bookmark, FindBookmarkAt(context, origin.branch, *options.at));
  }
  VELAFS_TRY(CheckMayTake(context, caller, origin));
  if (name == context.importing) return Exists("branch " + Quoted(name) + " is being imported");
  const Result<BranchRow> found = FindBranch(context, name);
  if (found.status().code() == Code::kNotFound) return Errno(ESTALE);
  VELAFS_TRY(found.status());
  const BranchRow& branch = *found;
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckIsSuchAClone(caller, branch, origin, options));
  VELAFS_ASSIGN(const auto ttl, CloneTtl(context, options.ttl, origin.branch));
  VELAFS_ASSIGN(const auto expires_at, TimeAfter(NowNs(), ttl));
  const auto renew = [&](BranchRow& row) {
    if (expires_at) row.expires_at = expires_at;
  };
  if (options.if_exists != IfExists::kReset) {
    return context.WriteDurably([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(std::optional<BranchRow> row, writer.Branch(name));
      if (!row) return Errno(ESTALE);
      renew(*row);
      return writer.UpdateBranch(*row);
    });
  }
  VELAFS_TRY(CheckNotProtected(branch));
  if (Status idle = CheckNotRunning(context, branch); !idle.ok()) {
    return std::move(idle).WithHint("velapg stops, resets and starts it: velapg reset " + name);
  }
  std::optional<BookmarkRow> kept;
  if (!branch.is_ephemeral) {
    VELAFS_ASSIGN(kept, BeforeReset(context, caller, branch, origin.ToString()));
  }
  return ResetTo(context, branch, origin, kept, [&](BranchRow& row) {
    renew(row);
    TakeRights(caller, origin.branch, &row);
    row.parent_bookmark = BookmarkOf(origin);
    row.parent_bookmark_name = origin.bookmark ? origin.bookmark->name : "";
  });
}

}  // namespace

Result<BranchInfo> BranchVerbs::Clone(const Caller& caller, const std::string& source,
                                      const std::string& name, const CloneOptions& options,
                                      CloneOutcome* outcome) {
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  VELAFS_TRY(CheckName("branch", name));
  if (options.at && !ref.bookmark.empty()) {
    return UsageError("--at goes with a branch, not with a bookmark",
                      "name a branch, or leave out --at");
  }
  VELAFS_TRY(CheckOptions(options));
  Status done = RunClone(context_, caller, ref, name, options);
  CloneOutcome came_of_it = CloneOutcome::kCreated;
  // Another command may delete the branch before it is taken: then it is made after all.
  for (int tries = 0; tries < kMostTries && done.code() == Code::kExists; ++tries) {
    if (options.if_exists == IfExists::kError) break;
    const bool is_reset = options.if_exists == IfExists::kReset;
    came_of_it = is_reset ? CloneOutcome::kReset : CloneOutcome::kReused;
    Status taken = TakeExisting(context_, caller, ref, name, options);
    if (taken.error_number() != ESTALE) {
      done = std::move(taken);
      break;
    }
    came_of_it = CloneOutcome::kCreated;
    done = RunClone(context_, caller, ref, name, options);
  }
  VELAFS_TRY(std::move(done).WithContext("cannot clone " + Quoted(source) + " to " + Quoted(name)));
  if (came_of_it == CloneOutcome::kReset) context_.mount.TellRemoved(name);
  if (came_of_it == CloneOutcome::kCreated) context_.mount.TellAdded(name);
  if (outcome != nullptr) *outcome = came_of_it;
  return ShowBranch(context_, name);
}

}  // namespace velafs::store
