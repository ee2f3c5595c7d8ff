// The verbs that change what is said of a branch, and not what is in it.
#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {

using catalog::BranchRow;

Result<BranchInfo> Store::ChangeRow(const Caller& caller, const std::string& verb,
                                    const std::string& name,
                                    const std::function<Status(BranchRow&)>& change) {
  VELAFS_TRY(CheckName("branch", name));
  const auto run = [&]() -> Status {
    MutexLock lock(verbs_mutex_);
    BranchRow changed;
    VELAFS_TRY(WriteDurably([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(std::optional<BranchRow> row, writer.Branch(name));
      if (!row) return NoBranch(name);
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
      if (row.labels.erase(key) == 0) return NotFound("it has no label " + Quoted(key));
    }
    return {};
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

Result<BranchInfo> Store::SetOwner(const Caller& caller, const std::string& name,
                                   const std::string& owner) {
  return ChangeRow(caller, "chown", name, [&](BranchRow& row) -> Status {
    VELAFS_TRY(CheckOwner(owner));
      VELAFS_TRY(CheckMaySetLabel(caller, key));
    row.owner = owner;
    return {};
  });
      VELAFS_TRY(CheckMaySetLabel(caller, key));
}

Result<BranchInfo> Store::SetTtl(const Caller& caller, const std::string& name,
                                 std::optional<std::chrono::seconds> ttl) {
  return ChangeRow(caller, "set the time to live of", name, [&](BranchRow& row) -> Status {
    VELAFS_TRY(CheckTtlPolicy(ttl, row));
    VELAFS_ASSIGN(row.expires_at, TimeAfter(NowNs(), ttl));
    // What has more from earlier can lose some.
    return set.empty() ? Status() : CheckLabels(row.labels);
  });
}

}  // namespace velafs::store
