// The verbs that change attributes of a branch, not its content.
#include "velafs/base/nearest.h"
#include "velafs/layer/volume.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/context.h"
#include "velafs/store/describe.h"
#include "velafs/store/govern/limits.h"
#include "velafs/store/govern/quota_size.h"
#include "velafs/store/lookup.h"
#include "velafs/store/removal.h"
#include "velafs/store/rules.h"
#include "velafs/store/states.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

// A branch counts for its owner's quotas, and what is in it is his to answer for: nobody gets one
// he has not asked for from a user.
Status CheckMayGive(const Caller& caller, const BranchRow& branch, const std::string& owner) {
  if (owner == branch.owner || caller.IsAdmin()) return {};
  return Refused("only an admin can give a branch to another user",
                 "ask an admin to run: velafs chown " + branch.name + " " + owner);
}

// Files that are shown as the owner's become the next one's; as they are, if that is no user here.
std::optional<catalog::FileOwner> ShownAfterwards(const BranchRow& branch,
                                                  const std::string& owner) {
  const bool is_shown_as_owner =
      branch.shown_as && UserName(branch.shown_as->uid) == branch.owner && owner != branch.owner;
  if (!is_shown_as_owner) return branch.shown_as;
  const Result<catalog::FileOwner> next = FindUser(owner);
  return next.ok() ? std::optional(*next) : std::nullopt;
}

// Finds the branch, lets `change` change the row, and describes what came of it.
Result<BranchInfo> ChangeRow(StoreContext& context, const Caller& caller, const std::string& verb,
                             const std::string& name,
                             const std::function<Status(BranchRow&)>& change) {
  VELAFS_TRY(CheckName("branch", name));
  const auto run = [&]() -> Status {
    WriterLock lock(context.verbs_mutex);
    BranchRow changed;
    VELAFS_TRY(context.WriteDurably([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(std::optional<BranchRow> row, writer.Branch(name));
      if (!row) return NoBranch(writer, name);
      VELAFS_TRY(CheckMayChange(caller, *row));
      VELAFS_TRY(change(*row));
      VELAFS_TRY(writer.UpdateBranch(*row));
      changed = *std::move(row);
      return {};
    }));
    context.volume->SetQuota(changed.instance, changed.quota_bytes);
    return {};
  };
  VELAFS_TRY(run().WithContext("cannot " + verb + " " + Quoted(name)));
  return ShowBranch(context, name);
}

struct Given {
  BranchRow former;
  bool is_shown_anew;  // and has a new instance
};

Result<Given> Give(StoreContext& context, const Caller& caller, const std::string& name,
                   const std::string& owner) {
  TrySyncAhead(context, caller, name);  // in case its files are to be shown as another user's
  WriterLock lock(context.verbs_mutex);
  VELAFS_ASSIGN(BranchRow branch, FindBranch(context, name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(CheckOwner(owner));
  VELAFS_TRY(CheckMayGive(caller, branch, owner));
  if (owner != branch.owner) VELAFS_TRY(CheckMayOwn(context, owner, branch));
  const auto shown = ShownAfterwards(branch, owner);
  const Given given{branch, shown != branch.shown_as};
  branch.owner = owner;
  if (owner != given.former.owner) LeavePool(&branch);
  if (!given.is_shown_anew) {
    VELAFS_TRY(
        context.WriteDurably([&](catalog::Writer& writer) { return writer.UpdateBranch(branch); }));
    return given;
  }
  // Files that the giver has open are to be no longer his: they are those of an instance.
  VELAFS_TRY(CheckNotRunning(context, branch));
  const auto change = [&](catalog::Writer& writer, BranchRow row,
                          const layer::EndedHead&) -> Result<std::vector<LayerId>> {
    row.owner = owner;
    row.labels = branch.labels;
    row.shown_as = shown;
    VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
    VELAFS_TRY(writer.UpdateBranch(row));
    return std::vector<LayerId>();
  };
  VELAFS_TRY(context.volume->EndInstance(name, layer::Volume::End::kKeep, change).status());
  SetServerPlacesAside(context.storage, context.paths, given.former);
  return given;
}

}  // namespace

Result<BranchInfo> BranchVerbs::Protect(const Caller& caller, const std::string& name,
                                        std::optional<std::chrono::seconds> duration) {
  return ChangeRow(context_, caller, "protect", name, [&](BranchRow& row) -> Status {
    row.is_protected = true;
    VELAFS_ASSIGN(row.protected_until, TimeAfter(NowNs(), duration));
    return {};
  });
}

Result<BranchInfo> BranchVerbs::Unprotect(const Caller& caller, const std::string& name) {
  return ChangeRow(context_, caller, "unprotect", name, [](BranchRow& row) -> Status {
    row.is_protected = false;
    row.protected_until.reset();
    return {};
  });
}

Result<BranchInfo> BranchVerbs::ChangeLabels(const Caller& caller, const std::string& name,
                                             const std::map<std::string, std::string>& set,
                                             const std::vector<std::string>& remove) {
  return ChangeRow(context_, caller, "label", name, [&](BranchRow& row) -> Status {
    for (const auto& [key, value] : set) {
      VELAFS_TRY(CheckLabel(key, value));
      row.labels[key] = value;
    }
    for (const std::string& key : remove) {
      if (row.labels.erase(key) > 0) continue;
      std::vector<std::string> keys;
      for (const auto& [present, value] : row.labels) keys.push_back(present);
      return NotFound("it has no label " + Quoted(key), DidYouMean(key, keys, ""));
    }
    // What has more from earlier can lose some.
    return set.empty() ? Status() : CheckLabels(row.labels);
  });
}

Result<BranchInfo> BranchVerbs::SetNote(const Caller& caller, const std::string& name,
                                        const std::string& note) {
  return ChangeRow(context_, caller, "note", name, [&](BranchRow& row) -> Status {
    VELAFS_TRY(CheckNote(note));
    row.note = note;
    return {};
  });
}

Result<ChownResult> BranchVerbs::SetOwner(const Caller& caller, const std::string& name,
                                          const std::string& owner) {
  VELAFS_TRY(CheckName("branch", name));
  const Result<Given> given = Give(context_, caller, name, owner);
  if (!given.ok()) return given.status().WithContext("cannot chown " + Quoted(name));
  const BranchRow& former = given->former;
  if (given->is_shown_anew) {
    context_.mount.TellRemoved(name);
    RemoveWhatIsGone(context_.storage, context_.paths.Run());
    RemoveServerPlaces(context_.paths.root, former.id.value, former.instance.value);
  }
  VELAFS_ASSIGN(BranchInfo info, ShowBranch(context_, name));
  return ChownResult{std::move(info), former.owner};
}

Result<BranchInfo> BranchVerbs::SetQuota(const Caller& caller, const std::string& name,
                                         std::optional<uint64_t> bytes) {
  return ChangeRow(context_, caller, "set the quota of", name, [&](BranchRow& row) -> Status {
    if (bytes) VELAFS_TRY(CheckQuotaSize(*bytes));
    VELAFS_TRY(CheckQuotaPolicy(context_, caller, bytes, row));
    row.quota_bytes = bytes;
    return {};
  });
}

Result<BranchInfo> BranchVerbs::SetTtl(const Caller& caller, const std::string& name,
                                       std::optional<std::chrono::seconds> ttl) {
  return ChangeRow(context_, caller, "set the time to live of", name,
                   [&](BranchRow& row) -> Status {
                     VELAFS_TRY(CheckTtlPolicy(context_, ttl, row));
                     VELAFS_ASSIGN(row.expires_at, TimeAfter(NowNs(), ttl));
                     return {};
                   });
}

}  // namespace velafs::store
