// The verbs that change attributes of a branch, not its content.
#include "velafs/base/nearest.h"
#include "velafs/store/rules.h"
#include "velafs/store/store.h"
#include "velafs/store/users.h"

namespace velafs::store {

using catalog::BranchRow;

namespace {

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

}  // namespace

Result<BranchInfo> Store::ChangeRow(const Caller& caller, const std::string& verb,
                                    const std::string& name,
                                    const std::function<Status(BranchRow&)>& change) {
  VELAFS_TRY(CheckName("branch", name));
  const auto run = [&]() -> Status {
    WriterLock lock(verbs_mutex_);
    BranchRow changed;
    VELAFS_TRY(WriteDurably([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(std::optional<BranchRow> row, writer.Branch(name));
      if (!row) return NoBranch(writer, name);
      VELAFS_TRY(CheckMayChange(caller, *row));
      VELAFS_TRY(change(*row));
      VELAFS_TRY(writer.UpdateBranch(*row));
      changed = *std::move(row);
      return {};
    }));
    volume_->SetQuota(changed.instance, changed.quota_bytes);
    return {};
  };
  VELAFS_TRY(run().WithContext("cannot " + verb + " " + Quoted(name)));
  return Show(name);
}

Result<BranchInfo> Store::Protect(const Caller& caller, const std::string& name,
                                  std::optional<std::chrono::seconds> duration) {
  return ChangeRow(caller, "protect", name, [&](BranchRow& row) -> Status {
    row.is_protected = true;
    VELAFS_ASSIGN(row.protected_until, TimeAfter(NowNs(), duration));
    return {};
  });
}

Result<BranchInfo> Store::Unprotect(const Caller& caller, const std::string& name) {
  return ChangeRow(caller, "unprotect", name, [](BranchRow& row) -> Status {
    row.is_protected = false;
    row.protected_until.reset();
    return {};
  });
}

Result<BranchInfo> Store::ChangeLabels(const Caller& caller, const std::string& name,
                                       const std::map<std::string, std::string>& set,
                                       const std::vector<std::string>& remove) {
  return ChangeRow(caller, "label", name, [&](BranchRow& row) -> Status {
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

Result<BranchInfo> Store::SetNote(const Caller& caller, const std::string& name,
                                  const std::string& note) {
  return ChangeRow(caller, "note", name, [&](BranchRow& row) -> Status {
    VELAFS_TRY(CheckNote(note));
    row.note = note;
    return {};
  });
}

Result<ChownResult> Store::SetOwner(const Caller& caller, const std::string& name,
                                    const std::string& owner) {
  VELAFS_TRY(CheckName("branch", name));
  bool is_shown_anew = false;
  BranchRow former;
  const auto run = [&]() -> Status {
    WriterLock lock(verbs_mutex_);
    VELAFS_ASSIGN(BranchRow branch, FindBranch(name));
    VELAFS_TRY(CheckMayChange(caller, branch));
    VELAFS_TRY(CheckOwner(owner));
    VELAFS_TRY(CheckMayGive(caller, branch, owner));
    if (owner != branch.owner) VELAFS_TRY(CheckMayOwn(owner, branch));
    former = branch;
    const auto shown = ShownAfterwards(branch, owner);
    is_shown_anew = shown != branch.shown_as;
    branch.owner = owner;
    if (owner != former.owner) LeavePool(&branch);
    if (!is_shown_anew) {
      return WriteDurably([&](catalog::Writer& writer) { return writer.UpdateBranch(branch); });
    }
    // Files that the giver has open are to be no longer his: they are those of an instance.
    VELAFS_TRY(CheckNotRunning(branch));
    const auto change = [&](catalog::Writer& writer, BranchRow row,
                            const layer::EndedHead&) -> Result<std::vector<LayerId>> {
      row.owner = owner;
      row.labels = branch.labels;
      row.shown_as = shown;
      VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
      VELAFS_TRY(writer.UpdateBranch(row));
      return std::vector<LayerId>();
    };
    VELAFS_TRY(volume_->EndInstance(name, layer::Volume::End::kKeep, change).status());
    SetServerPlacesAside(storage_, paths_, former);
    return {};
  };
  VELAFS_TRY(run().WithContext("cannot chown " + Quoted(name)));
  if (is_shown_anew) {
    TellRemoved(name);
    RemoveWhatIsGone(storage_, paths_.Run());
    RemoveServerPlaces(paths_.root, former.id.value, former.instance.value);
  }
  VELAFS_ASSIGN(BranchInfo info, Show(name));
  return ChownResult{std::move(info), std::move(former.owner)};
}

Result<BranchInfo> Store::SetTtl(const Caller& caller, const std::string& name,
                                 std::optional<std::chrono::seconds> ttl) {
  return ChangeRow(caller, "set the time to live of", name, [&](BranchRow& row) -> Status {
    VELAFS_TRY(CheckTtlPolicy(ttl, row));
    VELAFS_ASSIGN(row.expires_at, TimeAfter(NowNs(), ttl));
    return {};
  });
}

}  // namespace velafs::store
