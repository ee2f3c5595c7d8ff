// The verbs on whole branches.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "velafs/layer/branch.h"
#include "velafs/layer/server_files.h"
#include "velafs/store/govern/access.h"
#include "velafs/store/rules.h"
#include "velafs/store/store.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

constexpr int kMostTries = 8;

std::optional<std::string> IfAny(const std::string& text) {
  if (text.empty()) return {};
  return text;
}

Status CheckOptions(const CloneOptions& options) {
  if (options.owner) VELAFS_TRY(CheckOwner(*options.owner));
  for (const auto& [key, value] : options.labels) VELAFS_TRY(CheckLabel(key, value));
  VELAFS_TRY(CheckLabels(options.labels));
  return CheckNote(options.note);
}

Result<uint64_t> BytesOnDisk(os::Storage& storage, const std::string& directory) {
  uint64_t total = 0;
  const auto entries = storage.List(directory);
  if (entries.status().error_number() == ENOENT) return uint64_t{0};  // gone by now
  VELAFS_TRY(entries.status());
  for (const os::DirectoryEntry& entry : *entries) {
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
  VELAFS_TRY(CheckName("branch", name));
  return catalog_->Read([&](catalog::Reader& reader) -> Result<BranchRow> {
    VELAFS_ASSIGN(std::optional<BranchRow> row, reader.Branch(name));
    if (!row) return NoBranch(reader, name);
    return *std::move(row);
  });
}

Status Store::CheckMayChange(const Caller& caller, const BranchRow& branch) const {
  if (caller.user == branch.owner || caller.IsAdmin()) return {};
  return Refused("branch " + Quoted(branch.name) + " belongs to " + Quoted(branch.owner),
                 "only " + Quoted(branch.owner) + " and admins may change it");
}

Status Store::CheckNotRunning(const BranchRow& branch) {
  const auto running = servers_.On(branch.instance);
  if (!running) return {};
  return Refused(
      "a server runs on " + Quoted(branch.name) + ", process " + std::to_string(running->pid),
      "stop it first: velapg stop " + branch.name);
}

Status Store::CheckNameIsFree(const std::string& name) {
  if (name == importing_) return Exists("branch " + Quoted(name) + " is being imported");
  return catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::optional<BranchRow> row, reader.Branch(name));
    return row ? Exists("branch " + Quoted(name) + " exists") : Status();
  });
}

Result<BranchInfo> Store::Clone(const Caller& caller, const std::string& source,
                                const std::string& name, const CloneOptions& options,
                                CloneOutcome* outcome) {
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  VELAFS_TRY(CheckName("branch", name));
  if (options.at && !ref.bookmark.empty()) {
    return UsageError("--at goes with a branch, not with a bookmark",
                      "name a branch, or leave out --at");
  }
  VELAFS_TRY(CheckOptions(options));
  Status done = RunClone(caller, ref, name, options);
  CloneOutcome came_of_it = CloneOutcome::kCreated;
  // Another command may delete the branch before it is taken: then it is made after all.
  for (int tries = 0; tries < kMostTries && done.code() == Code::kExists; ++tries) {
    if (options.if_exists == IfExists::kError) break;
    const bool is_reset = options.if_exists == IfExists::kReset;
    came_of_it = is_reset ? CloneOutcome::kReset : CloneOutcome::kReused;
    Status taken = TakeExisting(caller, ref, name, options);
    if (taken.error_number() != ESTALE) {
      done = std::move(taken);
      break;
    }
    came_of_it = CloneOutcome::kCreated;
    done = RunClone(caller, ref, name, options);
  }
  VELAFS_TRY(std::move(done).WithContext("cannot clone " + Quoted(source) + " to " + Quoted(name)));
  if (came_of_it == CloneOutcome::kReset) TellRemoved(name);
  if (came_of_it == CloneOutcome::kCreated) TellAdded(name);
  if (outcome != nullptr) *outcome = came_of_it;
  return Show(name);
}

Status Store::RunClone(const Caller& caller, const SourceRef& source, const std::string& name,
                       const CloneOptions& options) {
  if (!options.at) SyncAhead(caller, source);
  VELAFS_ASSIGN(const catalog::CommitSequence committed,
                CommitClone(caller, source, name, options));
  // With no lock held: clones that are made at the same time share a sync.
  return catalog_->MakeDurable(committed);
}

void Store::SyncAhead(const Caller& caller, const SourceRef& source) {
  const Result<Origin> origin = FindOrigin(source);
  if (!origin.ok() || origin->bookmark || !CheckMayTake(caller, *origin).ok()) return;
  const auto branch = volume_->Open(origin->branch.name);
  if (branch.ok()) (void)(*branch)->SyncAll(/*closing=*/false);
}

Result<catalog::CommitSequence> Store::CommitClone(const Caller& caller, const SourceRef& source,
                                                   const std::string& name,
                                                   const CloneOptions& options) {
  ReaderLock lock(verbs_mutex_);
  VELAFS_ASSIGN(Origin from, FindOrigin(source));
  if (options.at) {
    VELAFS_ASSIGN(from.bookmark, FindBookmarkAt(from.branch, *options.at));
  }
  VELAFS_TRY(CheckMayTake(caller, from));
  VELAFS_ASSIGN(BranchRow row, PlanClone(caller, from, name, options));
  const auto add_branch = [&](catalog::Writer& writer, LayerId state) -> Status {
    if (HasBranchLimits(from.branch)) {
      // Others may have made branches since these were counted.
      VELAFS_ASSIGN(const std::vector<BranchRow> branches, writer.Branches());
      VELAFS_TRY(CheckBranchCounts(row.owner, from.branch, branches));
    }
    VELAFS_TRY(StandOn(writer, state, from.root(), &row));
    VELAFS_ASSIGN(row.id, writer.AddBranch(row));
    if (!options.is_isolated) return {};
    return writer.PutSetting(Policies::Isolated(PolicyPlace::OfBranch(row)));
  };
  const auto commit = [&]() -> Result<catalog::CommitSequence> {
    if (from.bookmark) {
      return catalog_->Write(
          [&](catalog::Writer& writer) { return add_branch(writer, from.bookmark->layer); });
    }
    const auto freezing = freezing_.Of(from.branch.id);
    MutexLock freeze_lock(*freezing);
    return volume_->CommitFreeze(from.branch.name, add_branch);
  };
  VELAFS_ASSIGN(const catalog::CommitSequence committed, commit());
  if (options.is_isolated) policies_->Learn(Policies::Isolated(PolicyPlace::OfBranch(row)));
  return committed;
}

Result<BranchRow> Store::PlanClone(const Caller& caller, const Origin& from,
                                   const std::string& name, const CloneOptions& options) {
  VELAFS_TRY(CheckNameIsFree(name));
  VELAFS_TRY(CheckNamePolicy(name, from.branch));
  const std::string owner = options.owner.value_or(caller.user);
  if (owner != caller.user && !caller.IsAdmin()) {
    return Refused("only an admin makes branches for others", "leave out --owner");
  }
  VELAFS_TRY(CheckBranchPolicies(owner, from.branch));

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
  VELAFS_ASSIGN(const auto ttl, CloneTtl(options.ttl, from.branch));
  VELAFS_ASSIGN(row.expires_at, TimeAfter(row.created_at, ttl));
  row.note = options.note;
  row.labels = options.labels;
  VELAFS_ASSIGN(row.shown_as, ShownAs(caller, options));
  // What somebody wrote into the source is run with no more rights on its clone, unless an admin
  // wants that.
  const bool is_left_open = !options.as_user || (*options.as_user == "none" && !caller.IsAdmin());
  if (!row.shown_as && is_left_open) row.shown_as = from.branch.shown_as;
  row.is_ephemeral = options.is_ephemeral;
  VELAFS_ASSIGN(row.quota_bytes, CloneQuota(caller, options.quota_bytes, from.branch));
  return row;
}

Result<std::optional<catalog::FileOwner>> Store::ShownAs(const Caller& caller,
                                                         const CloneOptions& options) const {
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
    return Refused("only an admin makes branches for others", "leave out --as-user");
  }
  if (is_served_by_root || owner.uid == geteuid()) return Shown(owner);
  return Refused("only a store that root serves can show files as those of another user",
                 "leave out --as-user");
}

// Head layer `head`, which is new and empty, shows what `state` does but for the files of a server
// that ran on it. A few bytes of theirs stay in what it is said to hold.
Status Store::RemoveServerFiles(catalog::Writer& writer, LayerId state, InodeNumber root,
                                LayerId head) {
  for (const std::string_view file : layer::kServerFiles) {
    const std::string name(file);
    VELAFS_ASSIGN(const InodeNumber ino, writer.NameThrough(state, root, name));
    if (!ino) continue;
    VELAFS_ASSIGN(auto gone, writer.InodeThrough(state, ino));
    VELAFS_ASSIGN(auto top, writer.InodeThrough(state, root));
    if (!gone || !top)
      return Corrupt("\"" + name + "\" leads to an inode that is not in the catalog");
    gone->nlink -= std::min(gone->nlink, 1u);
    gone->born_here = top->born_here = false;
    gone->inherited_bytes = top->inherited_bytes = std::nullopt;
    top->mtime = top->ctime = NowNs();
    VELAFS_TRY(writer.PutInode(head, *gone));
    VELAFS_TRY(writer.PutInode(head, *top));
    VELAFS_TRY(writer.PutName(head, {root, name, InodeNumber()}));
  }
  return {};
}

Status Store::StandOn(catalog::Writer& writer, LayerId state, InodeNumber root, BranchRow* row) {
  VELAFS_ASSIGN(const catalog::LayerRow below, writer.Layer(state));
  VELAFS_ASSIGN(row->head, writer.AddLayer(state, catalog::LayerState::kHead));
  row->first_layer = row->head;
  VELAFS_TRY(writer.SetLayerLogicalBytes(row->head, below.logical_bytes));
  VELAFS_ASSIGN(row->instance, writer.ReserveInstance());
  row->root = root;
  return RemoveServerFiles(writer, state, root, row->head);
}

std::string Store::Origin::ToString() const {
  return bookmark ? branch.name + "@" + bookmark->name : branch.name;
}

Result<Store::Origin> Store::FindOrigin(const SourceRef& source) {
  Origin origin;
  VELAFS_ASSIGN(origin.branch, FindBranch(source.branch));
  if (!source.bookmark.empty()) {
    VELAFS_ASSIGN(origin.bookmark, FindBookmark(origin.branch, source.bookmark));
  }
  return origin;
}

BranchInfo Store::Describe(const BranchRow& row, const layer::SpaceUsage& usage) {
  BranchInfo info;
  info.name = row.name;
  if (const std::optional<std::string> mounted = mountpoint(); mounted && !row.deleted_at) {
    info.path = *mounted + "/" + row.name;
  }
  info.parent = IfAny(row.parent_name);
  if (row.parent) info.parent_id = row.parent.value;
  if (!row.parent_bookmark_name.empty()) {
    info.parent_bookmark = row.parent_name + "@" + row.parent_bookmark_name;
  }
  info.owner = row.owner;
  info.state = row.deleted_at ? BranchState::kDeleted : BranchState::kReady;
  if (const auto server = servers_.On(row.instance); server && !row.deleted_at) {
    info.state = BranchState::kRunning;
    (server->is_postmaster ? info.server_pid : info.orphan_pid) = server->pid;
  }
  info.created_at = row.created_at;
  info.expires_at = row.expires_at;
  info.is_protected = IsProtected(row, NowNs());
  const bool has_end = info.is_protected && row.protected_until != catalog::kProtectedAsSource;
  if (has_end) info.protected_until = row.protected_until;
  info.labels = row.labels;
  info.note = row.note;
  info.own_bytes = usage.own_bytes;
  info.logical_bytes = usage.logical_bytes;
  info.port = row.port;
  info.deleted_at = row.deleted_at;
  info.quota_bytes = row.quota_bytes;
  info.is_ephemeral = row.is_ephemeral;
  info.id = row.id.value;
  info.instance = row.instance.value;
  if (row.shown_as) info.shown_as = UserName(row.shown_as->uid);
  return info;
}

Result<std::vector<BranchInfo>> Store::DescribeAll(const std::vector<BranchRow>& rows) {
  std::vector<layer::UsageOf> tops;
  tops.reserve(rows.size());
  for (const BranchRow& row : rows) {
    tops.push_back({row.head, row.deleted_at ? InstanceId() : row.instance});
  }
  VELAFS_ASSIGN(const std::vector<layer::SpaceUsage> usages, volume_->UsageOfAll(tops));
  std::vector<BranchInfo> list;
  list.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) list.push_back(Describe(rows[i], usages[i]));
  return list;
}

Result<BranchInfo> Store::DescribeOne(const BranchRow& row) {
  VELAFS_ASSIGN(std::vector<BranchInfo> infos, DescribeAll({row}));
  return std::move(infos[0]);
}

Result<BranchInfo> Store::Show(const std::string& name) {
  VELAFS_ASSIGN(const BranchRow row, FindBranch(name));
  VELAFS_ASSIGN(const layer::SpaceUsage usage, volume_->Usage(name));
  BranchInfo info = Describe(row, usage);
  if (row.shown_as) {
    VELAFS_ASSIGN(const auto branch, volume_->Open(name));
    VELAFS_ASSIGN(const layer::Attributes top, branch->Get(branch->root()));
    info.data_owner = UserName(top.uid);
  }
  return info;
}

Result<std::vector<BranchInfo>> Store::List(const ListFilter& filter) {
  VELAFS_ASSIGN(std::vector<BranchRow> rows, Branches());
  std::erase_if(rows, [&](const BranchRow& row) {
    if (filter.owner && row.owner != *filter.owner) return true;
    const bool is_running = servers_.On(row.instance).has_value();
    if (filter.state && (*filter.state == BranchState::kRunning) != is_running) return true;
    return !std::ranges::all_of(filter.labels, [&row](const auto& label) {
      const auto found = row.labels.find(label.first);
      return found != row.labels.end() && found->second == label.second;
    });
  });
  return DescribeAll(rows);
}

Result<std::map<uint64_t, uint64_t>> Store::CloneCounts() {
  std::map<uint64_t, uint64_t> counts;
  VELAFS_ASSIGN(const std::vector<BranchRow> rows, Branches());
  for (const BranchRow& row : rows) {
    if (row.parent) ++counts[row.parent.value];
  }
  return counts;
}

Result<std::vector<std::string>> Store::BranchNames() {
  VELAFS_ASSIGN(const std::vector<BranchRow> rows, Branches());
  std::vector<std::string> names;
  for (const BranchRow& row : rows) names.push_back(row.name);
  return names;
}

Result<std::vector<std::string>> Store::NamesShownTo(const Caller& caller) {
  if (RoleOf(*policies_, caller) >= Role::kViewer) return BranchNames();
  VELAFS_ASSIGN(const std::vector<BranchRow> rows, Branches());
  std::vector<std::string> names;
  for (const BranchRow& row : rows) {
    const bool is_shown = row.shown_as && row.shown_as->uid == caller.uid;
    if (is_shown || row.owner == caller.user) names.push_back(row.name);
  }
  return names;
}

Result<StoreStats> Store::Stats() {
  StoreStats stats;
  std::vector<BranchRow> rows;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    VELAFS_ASSIGN(const std::vector<BranchRow> deleted, reader.DeletedBranches());
    stats.trashed = deleted.size();
    for (const BranchRow& row : rows) {
      VELAFS_ASSIGN(const std::vector<catalog::BookmarkRow> bookmarks, reader.Bookmarks(row.id));
      stats.bookmarks += bookmarks.size();
    }
    VELAFS_ASSIGN(stats.chunk_count, reader.ChunkCount());
    return {};
  }));
  stats.branches = rows.size();
  VELAFS_ASSIGN(const std::vector<BranchInfo> infos, DescribeAll(rows));
  for (const BranchInfo& info : infos) stats.logical_bytes += info.logical_bytes;
  VELAFS_ASSIGN(const uint64_t packs_bytes, BytesOnDisk(storage_, paths_.Packs()));
  VELAFS_ASSIGN(const uint64_t layers_bytes, BytesOnDisk(storage_, paths_.Layers()));
  stats.stored_bytes = packs_bytes + layers_bytes;
  return stats;
}

}  // namespace velafs::store
