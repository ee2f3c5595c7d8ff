// The verbs on whole branches.
#include <unistd.h>

#include <cerrno>

#include "velafs/store/running_servers.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

Status NoBranch(const std::string& name) {
  return NotFound("there is no branch " + Quoted(name), "`velafs list` shows the branches");
}

// True when a branch went away after its row was read.
bool IsGone(const Status& status) {
  return status.code() == Code::kNotFound || status.error_number() == ESTALE;
}

std::optional<std::string> IfAny(const std::string& text) {
  if (text.empty()) return {};
  return text;
}

Result<std::optional<TimeNs>> ExpiryOf(const CloneOptions& options, TimeNs now) {
  if (!options.ttl) return std::optional<TimeNs>();
  const auto seconds = options.ttl->count();
  constexpr TimeNs kNsPerSecond = 1'000'000'000;
  if (seconds <= 0 || seconds > (INT64_MAX - now) / kNsPerSecond) {
    return UsageError("a time to live of " + std::to_string(seconds) + " seconds is out of range");
  }
  return std::optional<TimeNs>(now + seconds * kNsPerSecond);
}

Result<uint64_t> BytesOnDisk(os::Storage& storage, const std::string& directory) {
  uint64_t total = 0;
  VELAFS_ASSIGN(const std::vector<os::DirectoryEntry> entries, storage.List(directory));
  for (const os::DirectoryEntry& entry : entries) {
    const std::string path = directory + "/" + entry.name;
    if (entry.is_directory) {
      VELAFS_ASSIGN(const uint64_t inside, BytesOnDisk(storage, path));
      total += inside;
    } else if (const Result<os::FileInfo> info = storage.Stat(path); info.ok()) {
      total += info->allocated_bytes;  // what is gone by now counts nothing
    }
  }
  return total;
}

}  // namespace

Result<BranchRow> Store::FindBranch(const std::string& name) {
  std::optional<BranchRow> row;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(row, reader.Branch(name));
    return {};
  }));
  if (!row) return NoBranch(name);
  return *std::move(row);
}

Status Store::CheckMayChange(const Caller& caller, const BranchRow& branch) const {
  if (caller.user == branch.owner || caller.uid == 0 || caller.uid == geteuid()) return {};
  return Refused("branch " + Quoted(branch.name) + " belongs to " + Quoted(branch.owner));
}

Status Store::CheckNameIsFree(const std::string& name) {
  if (name == importing_) return Exists("branch " + Quoted(name) + " is being imported");
  const Result<BranchRow> row = FindBranch(name);
  if (row.ok()) return Exists("branch " + Quoted(name) + " exists");
  return row.status().code() == Code::kNotFound ? Status() : row.status();
}

Result<BranchInfo> Store::Clone(const Caller& caller, const std::string& source,
                                const std::string& name, const CloneOptions& options) {
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  VELAFS_TRY(CheckName("branch", name));
  VELAFS_TRY(RunClone(caller, ref, name, options)
                 .WithContext("cannot clone " + Quoted(source) + " to " + Quoted(name)));
  TellAdded(name);
  return Show(name);
}

Status Store::RunClone(const Caller& caller, const SourceRef& source, const std::string& name,
                       const CloneOptions& options) {
  MutexLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow from, FindBranch(source.branch));
  VELAFS_TRY(CheckNameIsFree(name));

  BranchRow row;
  row.name = name;
  row.root = from.root;
  row.parent = from.name;
  row.owner = options.owner.value_or(caller.user);
  row.created_at = NowNs();
  VELAFS_ASSIGN(row.expires_at, ExpiryOf(options, row.created_at));
  row.note = options.note;
  row.labels = options.labels;
  const auto add_branch = [&row](catalog::Writer& writer, LayerId frozen) -> Status {
    VELAFS_ASSIGN(const catalog::LayerRow below, writer.Layer(frozen));
    VELAFS_ASSIGN(row.head, writer.AddLayer(frozen, catalog::LayerState::kHead));
    VELAFS_TRY(writer.SetLayerLogicalBytes(row.head, below.logical_bytes));
    VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
    return writer.AddBranch(row).status();
  };

  if (source.bookmark.empty()) return volume_->Freeze(from.name, add_branch);
  row.parent_bookmark = source.ToString();
  return WriteDurably([&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const std::optional<catalog::BookmarkRow> bookmark,
                  writer.Bookmark(from.id, source.bookmark));
    if (!bookmark) {
      return NotFound("there is no bookmark " + Quoted(source.ToString()),
                      "`velafs bookmark list` shows the bookmarks");
    }
    return add_branch(writer, bookmark->layer);
  });
}

Status Store::Delete(const Caller& caller, const std::string& name, bool force) {
  VELAFS_TRY(RunDelete(caller, name, force).WithContext("cannot delete " + Quoted(name)));
  TellRemoved(name);
  return {};
}

Status Store::RunDelete(const Caller& caller, const std::string& name, bool force) {
  MutexLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const BranchRow row, FindBranch(name));
  VELAFS_TRY(CheckMayChange(caller, row));
  if (row.is_protected) {
    return Refused("the branch is protected", "lift that first: velafs unprotect " + name);
  }
  if (const std::optional<pid_t> pid = RunningServers(mountpoint()).On(name); pid && !force) {
    return Refused("a server runs on it, process " + std::to_string(*pid),
                   "stop it first: velapg stop " + name);
  }
  VELAFS_TRY(volume_->Remove(name, [](catalog::Writer&) { return Status(); }));
  // The branch is gone for good; what is left in run/ can do no harm.
  return storage_.RemoveTree(paths_.Run() + "/" + std::to_string(row.id.value));
}

Result<BranchInfo> Store::Describe(const BranchRow& row, const RunningServers& servers) {
  BranchInfo info;
  info.name = row.name;
  if (const std::optional<std::string> mounted = mountpoint())
    info.path = *mounted + "/" + row.name;
  info.parent = IfAny(row.parent);
  info.parent_bookmark = IfAny(row.parent_bookmark);
  info.owner = row.owner;
  info.state = servers.On(row.name) ? "running" : "ready";
  info.created_at = row.created_at;
  info.expires_at = row.expires_at;
  info.is_protected = row.is_protected;
  info.labels = row.labels;
  info.note = row.note;
  VELAFS_ASSIGN(const layer::BranchUsage usage, volume_->Usage(row.name));
  info.own_bytes = usage.own_bytes;
  info.logical_bytes = usage.logical_bytes;
  info.port = row.port;
  info.id = row.id.value;
  return info;
}

Result<BranchInfo> Store::Show(const std::string& name) {
  VELAFS_ASSIGN(const BranchRow row, FindBranch(name));
  return Describe(row, RunningServers(mountpoint()));
}

Result<std::vector<BranchInfo>> Store::List() {
  std::vector<BranchRow> rows;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    return {};
  }));
  const RunningServers servers(mountpoint());
  std::vector<BranchInfo> list;
  for (const BranchRow& row : rows) {
    Result<BranchInfo> info = Describe(row, servers);
    if (info.ok()) {
      list.push_back(*std::move(info));
    } else if (!IsGone(info.status())) {
      return std::move(info).status().WithContext("cannot describe branch " + Quoted(row.name));
    }
  }
  return list;
}

Result<std::vector<std::string>> Store::BranchNames() {
  std::vector<std::string> names;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<BranchRow> rows, reader.Branches());
    for (const BranchRow& row : rows) names.push_back(row.name);
    return {};
  }));
  return names;
}

Result<StoreStats> Store::Stats() {
  StoreStats stats;
  std::vector<BranchRow> rows;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    for (const BranchRow& row : rows) {
      VELAFS_ASSIGN(const std::vector<catalog::BookmarkRow> bookmarks, reader.Bookmarks(row.id));
      stats.bookmarks += bookmarks.size();
    }
    VELAFS_ASSIGN(stats.chunk_count, reader.ChunkCount());
    return {};
  }));
  stats.branches = rows.size();
  for (const BranchRow& row : rows) {
    const Result<layer::BranchUsage> usage = volume_->Usage(row.name);
    if (usage.ok()) {
      stats.logical_bytes += usage->logical_bytes;
    } else if (!IsGone(usage.status())) {
      return usage.status();
    }
  }
  VELAFS_ASSIGN(const uint64_t packs_bytes, BytesOnDisk(storage_, paths_.Packs()));
  VELAFS_ASSIGN(const uint64_t layers_bytes, BytesOnDisk(storage_, paths_.Layers()));
  stats.stored_bytes = packs_bytes + layers_bytes;
  return stats;
}

}  // namespace velafs::store
