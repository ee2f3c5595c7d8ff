#include "velafs/layer/volume.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>

#include "velafs/layer/branch.h"

namespace velafs::layer {
namespace {

constexpr uint64_t kInodeBlock = 1024;  // inode numbers reserved at a time

Status NoSuchBranch(const std::string& name) {
  return NotFound("there is no branch \"" + name + "\"", "`velafs list` shows the branches");
}

// Puts a new, empty head on the branch. What was the head is frozen, and not settled yet.
Result<Branch::NewHead> AddHead(catalog::Catalog& catalog, const std::string& name,
                                const Branch::HeadState& state) {
  Branch::NewHead head;
  VELAFS_ASSIGN(head.commit, catalog.Write([&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(auto row, writer.Branch(name));
    if (!row) return NoSuchBranch(name);
    VELAFS_TRY(writer.FreezeLayer(state.head, false));
    VELAFS_ASSIGN(head.id, writer.AddLayer(state.head, catalog::LayerState::kHead));
    VELAFS_TRY(writer.SetLayerLogicalBytes(head.id, state.logical_bytes));
    row->head = head.id;
    return writer.UpdateBranch(*row);
  }));
  return head;
}

// Notes in its row that a head was closed cleanly.
Status CloseHead(catalog::Writer& writer, const Branch::HeadState& head, uint64_t allocated_bytes) {
  VELAFS_TRY(writer.SetLayerLogicalBytes(head.head, head.logical_bytes));
  VELAFS_TRY(writer.SetLayerAllocatedBytes(head.head, allocated_bytes));
  return writer.SetLayerSettled(head.head, true);
}

}  // namespace

Volume::~Volume() = default;

Result<std::shared_ptr<Layer>> Volume::GetLayer(LayerId id, bool is_settled) {
  MutexLock lock(layers_lock_);
  std::weak_ptr<Layer>& known = layers_[id];
  if (auto layer = known.lock()) return layer;
  VELAFS_ASSIGN(auto layer, Layer::Load(parts_, id, is_settled));
  known = layer;
  return layer;
}

Result<InodeNumber> Volume::NewInodeNumber() {
  MutexLock lock(inodes_lock_);
  if (next_inode_ == reserved_end_) {
    InodeNumber first;
    VELAFS_ASSIGN([[maybe_unused]] const auto commit,
                  parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
                    VELAFS_ASSIGN(first, writer.ReserveInodes(kInodeBlock));
                    return {};
                  }));
    next_inode_ = first.value;
    reserved_end_ = first.value + kInodeBlock;
  }
  return InodeNumber(next_inode_++);
}

Result<catalog::BranchRow> Volume::FindRow(const std::string& name) {
  VELAFS_ASSIGN(std::optional<catalog::BranchRow> row,
                parts_.catalog.Read([&](catalog::Reader& reader) { return reader.Branch(name); }));
  if (!row) return NoSuchBranch(name);
  return *std::move(row);
}

Result<std::optional<catalog::BranchRow>> Volume::FindRow(InstanceId instance) {
  return parts_.catalog.Read(
      [&](catalog::Reader& reader) { return reader.BranchByInstance(instance); });
}

Result<std::shared_ptr<Branch>> Volume::Open(const std::string& name) {
  VELAFS_ASSIGN(const catalog::BranchRow row, FindRow(name));
  return Open(row.instance);
}

Result<std::shared_ptr<Branch>> Volume::Open(InstanceId instance) {
  while (true) {
    if (auto open = FindOpen(instance)) return open;
    VELAFS_ASSIGN(const auto row, FindRow(instance));
    if (!row) return Errno(ESTALE);
    Result<std::shared_ptr<Branch>> opened = Branch::Open(*this, *row);
    if (opened.ok()) {
      VELAFS_ASSIGN(auto branch, AddOpened(*std::move(opened), row->head));
      if (branch) return branch;
      continue;
    }
    // A branch that has ended meanwhile fails to open, too.
    VELAFS_ASSIGN(const auto now, FindRow(instance));
    if (now && now->head == row->head) return opened;
  }
}

// Null if its chain is no longer the catalog's: only open branches are told what moves. If another
// thread has opened the same branch meanwhile, returns that one.
Result<std::shared_ptr<Branch>> Volume::AddOpened(std::shared_ptr<Branch> branch, LayerId head) {
  MutexLock opening(opening_lock_);
  const InstanceId instance = branch->instance();
  const uint64_t generation = branch->generation();
  VELAFS_ASSIGN(const auto row, FindRow(instance));
  if (!row) return Errno(ESTALE);
  StartUpkeep();
  WriterLock lock(branches_lock_);
  if (const auto found = branches_.find(instance); found != branches_.end()) return found->second;
  // Whatever moves from here on is told to the branches found under branches_lock_ afterwards.
  if (row->head != head || generation != generation_) return std::shared_ptr<Branch>();
  branch->SetName(row->name);
  branches_.emplace(instance, branch);
  return branch;
}

Result<std::shared_ptr<Branch>> Volume::OpenState(LayerId top, InodeNumber root,
                                                  const std::string& name) {
  catalog::BranchRow row;
  row.head = top;
  row.root = root;
  row.name = name;
  return Branch::Open(*this, row);
}

std::shared_ptr<Branch> Volume::FindOpen(InstanceId instance) {
  ReaderLock lock(branches_lock_);
  const auto found = branches_.find(instance);
  return found == branches_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Branch>> Volume::OpenBranches() {
  ReaderLock lock(branches_lock_);
  std::vector<std::shared_ptr<Branch>> branches;
  for (const auto& [instance, branch] : branches_) branches.push_back(branch);
  return branches;
}

Status Volume::SyncUnlessClean(const std::string& name) {
  VELAFS_ASSIGN(const catalog::BranchRow row, FindRow(name));
  std::shared_ptr<Branch> branch = FindOpen(row.instance);
  if (!branch) {
    VELAFS_ASSIGN(const catalog::LayerRow head, parts_.catalog.Read([&](catalog::Reader& reader) {
      return reader.Layer(row.head);
    }));
    if (head.is_settled) return {};
    VELAFS_ASSIGN(branch, Open(row.instance));
  }
  return branch->SyncAll(false);
}

Status Volume::Freeze(const std::string& name, const AtFreeze& also) {
  VELAFS_ASSIGN(const catalog::CommitSequence committed, CommitFreeze(name, also));
  return parts_.catalog.MakeDurable(committed);
}

// Two transactions: the head is frozen by the first, while changes are held off; only once all of
// the frozen layer is on disk does the second let anything stand on it. A failure or a crash in
// between leaves one more layer in the branch's chain, and nothing to be seen.
Result<catalog::CommitSequence> Volume::CommitFreeze(const std::string& name,
                                                     const AtFreeze& also) {
  VELAFS_ASSIGN(const std::shared_ptr<Branch> branch, Open(name));
  // For the frozen layer's row. Not known only after an unclean end.
  VELAFS_TRY(branch->LogicalBytes().status());
  // Most of what must reach the disk goes there before anybody is held off.
  VELAFS_TRY(branch->SyncAll(false));
  LayerId frozen;
  bool is_new = false;
  std::optional<uint64_t> logical_bytes;
  VELAFS_TRY(branch->ReplaceHead(
      [&](const Branch::HeadState& state) -> Result<std::optional<Branch::NewHead>> {
        if (state.is_empty && state.parent) {
          frozen = state.parent;
          return std::optional<Branch::NewHead>();
        }
        frozen = state.head;
        is_new = true;
        logical_bytes = state.logical_bytes;
        VELAFS_ASSIGN(const Branch::NewHead head, AddHead(parts_.catalog, name, state));
        return std::optional(head);
      }));
  VELAFS_TRY(branch->SyncAll(false));
  return parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
    if (is_new) {
      VELAFS_TRY(writer.SetLayerLogicalBytes(frozen, logical_bytes));
      VELAFS_TRY(writer.SetLayerSettled(frozen, true));
    }
    return also(writer, frozen);
  });
}

Result<uint64_t> Volume::RemoveLayers(const Removal& removal) {
  std::vector<LayerId> removed;
  const auto remove = [&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(removed, removal(writer));
    return {};
  };
  VELAFS_ASSIGN(const auto committed,
                parts_.reserve.Run([&] { return parts_.catalog.Write(remove); }));
  VELAFS_TRY(parts_.catalog.MakeDurable(committed));
  return RemoveDirectories(removed);
}

Result<uint64_t> Volume::EndInstance(const std::string& name, End end, const Ending& change) {
  VELAFS_ASSIGN(Ended ended, CommitEnd(name, end, change));
  return FinishEnds({std::move(ended)});
}

// The head of a branch that is not open.
Result<EndedHead> Volume::DescribeClosed(const catalog::BranchRow& row) {
  EndedHead head{.id = row.head, .parent = {}, .is_empty = false};
  VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const catalog::LayerRow layer, reader.Layer(row.head));
    VELAFS_ASSIGN(head.is_empty, reader.LayerIsEmpty(row.head));
    head.parent = layer.parent;
    return {};
  }));
  if (head.is_empty) {
    VELAFS_ASSIGN(const auto layer, GetLayer(row.head, true));
    head.is_empty = !layer->HasPageFiles();
  }
  return head;
}

Result<Volume::Ended> Volume::CommitEnd(const std::string& name, End end, const Ending& change) {
  // Most of what is to be kept reaches the disk before changes are held off.
  if (end == End::kKeep) VELAFS_TRY(SyncUnlessClean(name));
  Ended ended;
  const auto commit = [&](const EndedHead& head,
                          const std::function<Status(catalog::Writer&)>& close) -> Status {
    const auto write = [&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(auto row, writer.Branch(name));
      if (!row) return NoSuchBranch(name);
      VELAFS_TRY(close(writer));
      VELAFS_ASSIGN(ended.removed, change(writer, *std::move(row), head));
      return {};
    };
    VELAFS_ASSIGN(ended.committed, parts_.reserve.Run([&] { return parts_.catalog.Write(write); }));
    return {};
  };
  const auto commit_open = [&](const Branch::HeadState& head) -> Status {
    uint64_t allocated_bytes = 0;
    if (end == End::kKeep) {
      VELAFS_ASSIGN(const auto layer, GetLayer(head.head, true));
      VELAFS_ASSIGN(allocated_bytes, layer->AllocatedBytes({}));
    }
    return commit({head.head, head.parent, head.is_empty}, [&](catalog::Writer& writer) {
      return end == End::kKeep ? CloseHead(writer, head, allocated_bytes) : Status();
    });
  };
  MutexLock opening(opening_lock_);
  VELAFS_ASSIGN(const catalog::BranchRow row, FindRow(name));
  if (const auto open = FindOpen(row.instance)) {
    VELAFS_TRY(open->EndInstance(end == End::kKeep, commit_open));
    WriterLock lock(branches_lock_);
    branches_.erase(row.instance);
    return ended;
  }
  EndedHead head{.id = row.head, .parent = {}, .is_empty = false};
  if (end == End::kKeep) {
    VELAFS_ASSIGN(head, DescribeClosed(row));
  }
  VELAFS_TRY(commit(head, [](catalog::Writer&) { return Status(); }));
  return ended;
}

Result<uint64_t> Volume::FinishEnds(const std::vector<Ended>& ends) {
  catalog::CommitSequence committed = 0;
  std::vector<LayerId> removed;
  for (const Ended& ended : ends) {
    committed = std::max(committed, ended.committed);
    removed.insert(removed.end(), ended.removed.begin(), ended.removed.end());
  }
  VELAFS_TRY(parts_.catalog.MakeDurable(committed));
  return RemoveDirectories(removed);
}

Status Volume::Remove(const std::string& name,
                      const std::function<Status(catalog::Writer&)>& also) {
  return EndInstance(name, End::kDiscard,
                     [&also](catalog::Writer& writer, const catalog::BranchRow& row,
                             const EndedHead& head) -> Result<std::vector<LayerId>> {
                       VELAFS_TRY(also(writer));
                       VELAFS_TRY(writer.RemoveBranch(row.id));
                       return writer.RemoveUnusedLayers(head.id);
                     })
      .status();
}

Status Volume::Rename(const std::string& name, const std::string& new_name) {
  MutexLock opening(opening_lock_);
  InstanceId instance;
  VELAFS_ASSIGN(const auto committed, parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(auto row, writer.Branch(name));
    if (!row) return NoSuchBranch(name);
    instance = row->instance;
    row->name = new_name;
    return writer.UpdateBranch(*row);
  }));
  if (const auto open = FindOpen(instance)) open->SetName(new_name);
  return parts_.catalog.MakeDurable(committed);
}

// Returns their bytes on disk. What asked for it is committed: a directory that stays is no failure
// of that, and the next opening of the store removes it.
uint64_t Volume::RemoveDirectories(const std::vector<LayerId>& layers) {
  uint64_t bytes = 0;
  for (const LayerId id : layers) {
    uint64_t allocated_bytes = 0;
    if (const auto layer = GetLayer(id, true); layer.ok()) {
      // For the report only: skip what cannot be counted.
      if (const auto known = (*layer)->AllocatedBytes({}); known.ok()) allocated_bytes = *known;
    }
    if (const Status left = parts_.storage.RemoveTree(LayerDirectory(parts_, id)); left.ok()) {
      bytes += allocated_bytes;
    } else {
      spdlog::warn("what is deleted still takes space, until the store is opened again: {}",
                   left.message());
    }
    MutexLock lock(layers_lock_);
    layers_.erase(id);
  }
  parts_.reserve.Refill();
  return bytes;
}

Status Volume::SyncAll() {
  Status first_failure = removals_.RemoveDeletedFiles();
  for (const auto& branch : OpenBranches()) {
    Status synced = branch->SyncAll(true);
    if (!synced.ok() && first_failure.ok()) first_failure = std::move(synced);
  }
  return first_failure;
}

void Volume::DiscardLater(std::shared_ptr<Layer> layer, InodeNumber ino,
                          catalog::CommitSequence after) {
  removals_.AddDeletedFile(std::move(layer), ino, after);
}

Status Volume::FollowMove(LayerId layer, const std::vector<InodeNumber>& files) {
  for (const auto& branch : OpenBranches()) VELAFS_TRY(branch->FollowMove(layer, files));
  return {};
}

std::set<LayerId> Volume::LayersInFlux() {
  std::set<LayerId> layers = removals_.LayersWithSealedFiles();
  for (const auto& branch : OpenBranches()) {
    for (const LayerId layer : branch->GoneLayers()) layers.insert(layer);
  }
  return layers;
}

Status Volume::RemoveUnusedLayers() {
  const std::vector<LayerId> unused = removals_.TakeUnusedLayers();
  if (unused.empty()) return {};
  return RemoveLayers([&](catalog::Writer& writer) -> Result<std::vector<LayerId>> {
           for (const LayerId id : unused) {
             // One that had sealed content has stayed in the catalog.
             VELAFS_ASSIGN(const auto row, writer.FindLayer(id));
             if (row) VELAFS_TRY(writer.RemoveLayer(id));
           }
           return unused;
         })
      .status();
}

}  // namespace velafs::layer
