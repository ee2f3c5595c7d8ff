#include "velafs/layer/volume.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <limits>
#include <unordered_set>

#include "velafs/layer/volume_impl.h"

namespace velafs::layer {
namespace {

constexpr uint64_t kInodeBlock = 1024;  // inode numbers reserved at a time
constexpr auto kUpkeepInterval = std::chrono::seconds(1);
// Changes nobody has synced are made durable after this long, as the kernel does for other
// filesystems.
constexpr TimeNs kMaxUnsyncedNs = TimeNs{30} * 1'000'000'000;

}  // namespace

Volume::Impl::~Impl() {
  {
    std::lock_guard lock(stop_lock_);
    stop_ = true;
  }
  stop_changed_.notify_all();
  if (upkeep_.joinable()) upkeep_.join();
}

Result<std::shared_ptr<Layer>> Volume::Impl::GetLayer(LayerId id, bool is_settled) {
  MutexLock lock(layers_lock_);
  std::weak_ptr<Layer>& known = layers_[id];
  if (auto layer = known.lock()) return layer;
  VELAFS_ASSIGN(auto layer, Layer::Load(parts_, id, is_settled));
  known = layer;
  return layer;
}

Result<InodeNumber> Volume::Impl::NewInodeNumber() {
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

Status Volume::Impl::NoSuchBranch(const std::string& name) {
  return NotFound("there is no branch \"" + name + "\"", "`velafs list` shows the branches");
}

Result<catalog::BranchRow> Volume::Impl::FindRow(const std::string& name) {
  std::optional<catalog::BranchRow> row;
  VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(row, reader.Branch(name));
    return {};
  }));
  if (!row) return NoSuchBranch(name);
  return *std::move(row);
}

Result<std::shared_ptr<Branch>> Volume::Impl::Open(const std::string& name) {
  VELAFS_ASSIGN(const catalog::BranchRow row, FindRow(name));
  return Open(row.instance);
}

Result<std::shared_ptr<Branch>> Volume::Impl::Open(InstanceId instance) {
  while (true) {
    if (auto open = FindOpen(instance)) return open;
    std::optional<catalog::BranchRow> row;
    VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(row, reader.BranchByInstance(instance));
      return {};
    }));
    if (!row) return Errno(ESTALE);
    Result<std::shared_ptr<Branch>> opened = Branch::Open(*this, *row);
    if (opened.ok()) {
      VELAFS_ASSIGN(auto branch, AddOpened(*std::move(opened), row->head));
      if (branch) return branch;
      continue;
    }
    // What has ended meanwhile may have failed for that.
    bool is_there = false;
    VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(const auto now, reader.BranchByInstance(instance));
      is_there = now && now->head == row->head;
      return {};
    }));
    if (is_there) return opened;
  }
}

// Null if its chain is no longer the catalog's. Only from here on it is told what moves. Another
// one who has opened the same meanwhile gave the branch that counts.
Result<std::shared_ptr<Branch>> Volume::Impl::AddOpened(std::shared_ptr<Branch> branch,
                                                        LayerId head) {
  MutexLock opening(opening_lock_);
  const InstanceId instance = branch->instance();
  const uint64_t generation = branch->generation();
  std::optional<catalog::BranchRow> row;
  VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(row, reader.BranchByInstance(instance));
    return {};
  }));
  if (!row) return Errno(ESTALE);
  {
    MutexLock upkeep(upkeep_lock_);
    StartUpkeep();
  }
  WriterLock lock(branches_lock_);
  if (const auto found = branches_.find(instance); found != branches_.end()) return found->second;
  // Whatever moves from here on is told to the branches found under branches_lock_ afterwards.
  if (row->head != head || generation != generation_) return std::shared_ptr<Branch>();
  branch->SetName(row->name);
  branches_.emplace(instance, branch);
  return branch;
}

Result<std::shared_ptr<Branch>> Volume::Impl::OpenState(LayerId top, InodeNumber root,
                                                        const std::string& name) {
  catalog::BranchRow row;
  row.head = top;
  row.root = root;
  row.name = name;
  return Branch::Open(*this, row);
}

std::shared_ptr<Branch> Volume::Impl::FindOpen(InstanceId instance) {
  ReaderLock lock(branches_lock_);
  const auto found = branches_.find(instance);
  return found == branches_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Branch>> Volume::Impl::OpenBranches() {
  ReaderLock lock(branches_lock_);
  std::vector<std::shared_ptr<Branch>> branches;
  for (const auto& [instance, branch] : branches_) branches.push_back(branch);
  return branches;
}

// Two transactions: the head is frozen by the first, while changes are held off; only once all of
// the frozen layer is on disk does the second let anything stand on it. A failure or a crash in
// between leaves one more layer in the branch's chain, and nothing to be seen.
Result<catalog::CommitSequence> Volume::Impl::CommitFreeze(
    const std::string& name, const std::function<Status(catalog::Writer&, LayerId)>& also) {
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
        VELAFS_ASSIGN(const Branch::NewHead head, AddHead(name, state));
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

// Puts a new, empty head on the branch. What was the head is frozen, and not settled yet.
Result<Branch::NewHead> Volume::Impl::AddHead(const std::string& name,
                                              const Branch::HeadState& state) {
  Branch::NewHead head;
  VELAFS_ASSIGN(head.commit, parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
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

Result<uint64_t> Volume::Impl::RemoveLayers(const Removal& removal) {
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

Result<uint64_t> Volume::Impl::EndInstance(const std::string& name, End end, const Ending& change) {
  if (end == End::kKeep) {
    // Most of what must reach the disk goes there before anybody is held off.
    VELAFS_ASSIGN(const std::shared_ptr<Branch> branch, Open(name));
    VELAFS_TRY(branch->SyncAll(false));
  }
  std::vector<LayerId> removed;
  catalog::CommitSequence committed = 0;
  const auto commit = [&](const Branch::HeadState& head) -> Status {
    uint64_t allocated_bytes = 0;
    if (end == End::kKeep) {
      VELAFS_ASSIGN(const auto layer, GetLayer(head.head, true));
      VELAFS_ASSIGN(allocated_bytes, layer->AllocatedBytes({}));
    }
    const auto write = [&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(auto row, writer.Branch(name));
      if (!row) return NoSuchBranch(name);
      if (end == End::kKeep) {
        VELAFS_TRY(writer.SetLayerLogicalBytes(head.head, head.logical_bytes));
        VELAFS_TRY(writer.SetLayerAllocatedBytes(head.head, allocated_bytes));
        VELAFS_TRY(writer.SetLayerSettled(head.head, true));
      }
      VELAFS_ASSIGN(removed,
                    change(writer, *std::move(row), {head.head, head.parent, head.is_empty}));
      return {};
    };
    VELAFS_ASSIGN(committed, parts_.reserve.Run([&] { return parts_.catalog.Write(write); }));
    return {};
  };
  {
    MutexLock opening(opening_lock_);
    VELAFS_ASSIGN(const catalog::BranchRow row, FindRow(name));
    if (const auto open = FindOpen(row.instance)) {
      VELAFS_TRY(open->Retire(end == End::kKeep, commit));
      WriterLock lock(branches_lock_);
      branches_.erase(row.instance);
    } else {
      VELAFS_TRY(commit({.head = row.head, .parent = {}, .is_empty = false, .logical_bytes = {}}));
    }
  }
  VELAFS_TRY(parts_.catalog.MakeDurable(committed));
  return RemoveDirectories(removed);
}

Status Volume::Impl::Remove(const std::string& name,
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

Status Volume::Impl::Rename(const std::string& name, const std::string& new_name) {
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

// Returns their bytes on disk.
Result<uint64_t> Volume::Impl::RemoveDirectories(const std::vector<LayerId>& layers) {
  uint64_t bytes = 0;
  for (const LayerId id : layers) {
    if (const auto layer = GetLayer(id, true); layer.ok()) {
      // Only told, so what cannot be counted is not.
      if (const auto allocated = (*layer)->AllocatedBytes({}); allocated.ok()) bytes += *allocated;
    }
    VELAFS_TRY(parts_.storage.RemoveTree(LayerDirectory(id)));
    MutexLock lock(layers_lock_);
    layers_.erase(id);
  }
  parts_.reserve.Refill();
  return bytes;
}

std::string Volume::Impl::LayerDirectory(LayerId layer) const {
  return parts_.layers_directory + "/" + std::to_string(layer.value);
}

Status Volume::Impl::RemoveOrphans() {
  std::unordered_map<uint64_t, catalog::LayerState> known;
  VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto layers, reader.Layers());
    for (const catalog::LayerRow& layer : layers) known[layer.id.value] = layer.state;
    return {};
  }));
  VELAFS_ASSIGN(const auto directories, parts_.storage.List(parts_.layers_directory));
  bool has_removed = false;
  for (const os::DirectoryEntry& directory : directories) {
    uint64_t id = 0;
    const char* end = directory.name.data() + directory.name.size();
    const auto parsed = std::from_chars(directory.name.data(), end, id);
    const bool is_layer = parsed.ec == std::errc() && parsed.ptr == end;
    if (!is_layer) continue;
    if (const auto found = known.find(id); found != known.end()) {
      if (found->second != catalog::LayerState::kSealed) continue;
      VELAFS_ASSIGN(const auto layer, Layer::Load(parts_, LayerId(id), true));
      VELAFS_TRY(parts_.reserve.Run([&] { return layer->RemoveSealedPageFiles(); }));
      continue;
    }
    VELAFS_TRY(parts_.storage.RemoveTree(parts_.layers_directory + "/" + directory.name));
    has_removed = true;
  }
  // Ids of layers whose transaction was lost are given again: what lay there must not come back.
  return has_removed ? parts_.storage.SyncDirectory(parts_.layers_directory) : Status();
}

Status Volume::Impl::SyncAll() {
  Status first_failure = DiscardNow();
  for (const auto& branch : OpenBranches()) {
    Status synced = branch->SyncAll(true);
    if (!synced.ok() && first_failure.ok()) first_failure = std::move(synced);
  }
  return first_failure;
}

void Volume::Impl::DiscardLater(std::shared_ptr<Layer> layer, InodeNumber ino,
                                catalog::CommitSequence after) {
  MutexLock lock(upkeep_lock_);
  discards_.push_back({std::move(layer), ino, after});
}

// A page file may go only when no crash can bring back a name that leads to it.
Status Volume::Impl::DiscardNow() {
  std::vector<Discard> discards;
  {
    MutexLock lock(upkeep_lock_);
    discards.swap(discards_);
  }
  if (discards.empty()) return {};
  catalog::CommitSequence last = 0;
  for (const Discard& discard : discards) last = std::max(last, discard.after);
  Status first_failure = parts_.catalog.MakeDurable(last);
  std::vector<Discard> left;
  for (Discard& discard : discards) {
    Status done = first_failure.ok() ? discard.layer->Discard(discard.ino) : first_failure;
    if (done.ok()) continue;
    if (first_failure.ok()) first_failure = std::move(done);
    left.push_back(std::move(discard));
  }
  if (left.empty()) return {};
  MutexLock lock(upkeep_lock_);
  discards_.insert(discards_.end(), std::make_move_iterator(left.begin()),
                   std::make_move_iterator(left.end()));
  return first_failure;
}

void Volume::Impl::StartUpkeep() {
  if (is_upkeep_running_) return;
  is_upkeep_running_ = true;
  upkeep_ = std::thread([this] { Upkeep(); });
}

void Volume::Impl::Upkeep() {
  // A full disk stays full for many rounds: said once is enough.
  std::string said;
  std::unique_lock lock(stop_lock_);
  while (!stop_changed_.wait_for(lock, kUpkeepInterval, [this] { return stop_; })) {
    lock.unlock();
    const Status done = UpkeepRound();
    if (!done.ok() && done.message() != said) spdlog::error("{}", done.message());
    said = done.message();
    lock.lock();
  }
}

// Each inode that the kernel has looked at, as a `du` of all branches has, takes half a kilobyte,
// and the kernel may remember it for a day. Beyond a bound what nobody uses goes at once, and the
// rest in some minutes.
void Volume::Impl::BoundMemory() {
  constexpr size_t kMostInodes = 100'000;
  constexpr uint32_t kIdleRounds = 5;
  constexpr uint32_t kLongIdleRounds = 300;
  constexpr uint32_t kRoundsBetween = 60;  // looks for what has been idle for long
  constexpr size_t kManyInodes = 100'000;
  const std::vector<std::shared_ptr<Branch>> branches = OpenBranches();
  size_t known = 0;
  for (const auto& branch : branches) {
    branch->BeginRound();
    known += branch->KnownInodes();
  }
  const bool is_full = known > kMostInodes;
  const bool is_time = ++rounds_ % kRoundsBetween == 0;
  if (!is_full && !is_time) return;
  for (const auto& branch : branches) {
    dropped_ += branch->DropIdle(is_full ? kIdleRounds : kLongIdleRounds);
  }
  if (dropped_ == 0 || (dropped_ < kManyInodes && !is_time)) return;
  dropped_ = 0;
  malloc_trim(0);  // takes some milliseconds, in which others wait
}

Status Volume::Impl::UpkeepRound() {
  BoundMemory();
  Status first_failure = DiscardNow().WithContext("cannot remove the pages of deleted files");
  for (const auto& branch : OpenBranches()) {
    if (branch->is_ephemeral()) continue;
    Status synced = branch->SyncOld(NowNs() - kMaxUnsyncedNs);
    if (!synced.ok() && first_failure.ok()) {
      first_failure = std::move(synced).WithContext("cannot write changes to disk");
    }
  }
  if (Status removed = RemoveDoomed(); first_failure.ok()) first_failure = std::move(removed);
  if (Status removed = RemoveRetired().status(); first_failure.ok()) {
    first_failure = std::move(removed);
  }
  parts_.reserve.Refill();
  return first_failure;
}

Volume::Volume(VolumeParts parts) : impl_(std::make_unique<Impl>(std::move(parts))) {}
Volume::~Volume() = default;

Result<std::shared_ptr<Branch>> Volume::Open(const std::string& name) { return impl_->Open(name); }
Result<std::shared_ptr<Branch>> Volume::Open(InstanceId instance) { return impl_->Open(instance); }
std::shared_ptr<Branch> Volume::FindOpen(InstanceId instance) { return impl_->FindOpen(instance); }
Status Volume::Freeze(const std::string& name,
                      const std::function<Status(catalog::Writer&, LayerId)>& also) {
  VELAFS_ASSIGN(const catalog::CommitSequence committed, CommitFreeze(name, also));
  return impl_->parts().catalog.MakeDurable(committed);
}
Result<catalog::CommitSequence> Volume::CommitFreeze(
    const std::string& name, const std::function<Status(catalog::Writer&, LayerId)>& also) {
  return impl_->CommitFreeze(name, also);
}
Status Volume::Remove(const std::string& name,
                      const std::function<Status(catalog::Writer&)>& also) {
  return impl_->Remove(name, also);
}
Result<uint64_t> Volume::RemoveLayers(const Removal& removal) {
  return impl_->RemoveLayers(removal);
}
Result<uint64_t> Volume::EndInstance(const std::string& name, End end, const Ending& change) {
  return impl_->EndInstance(name, end, change);
}
Status Volume::Rename(const std::string& name, const std::string& new_name) {
  return impl_->Rename(name, new_name);
}
void Volume::SetQuota(InstanceId instance, std::optional<uint64_t> bytes) {
  impl_->SetQuota(instance, bytes);
}
void Volume::HoldBack(const std::set<InstanceId>& full) { impl_->HoldBack(full); }
Result<std::vector<SpaceUsage>> Volume::UsageOfAll(const std::vector<UsageOf>& tops) {
  return impl_->UsageOfAll(tops);
}
Result<SpaceUsage> Volume::Usage(const std::string& name) { return impl_->Usage(name); }
Result<std::shared_ptr<Branch>> Volume::OpenState(LayerId top, InodeNumber root,
                                                  const std::string& name) {
  return impl_->OpenState(top, root, name);
}
Result<std::optional<Volume::Merge>> Volume::BeginMerge() { return impl_->BeginMerge(); }
Result<uint64_t> Volume::FinishMerge(const Merge& merge, const std::function<bool()>& go_on) {
  return impl_->FinishMerge(merge, go_on);
}
Status Volume::SettleLayers(const std::function<bool()>& go_on) {
  return impl_->SettleLayers(go_on);
}
Result<std::optional<Volume::Seal>> Volume::BeginSeal(TimeNs frozen_before) {
  return impl_->BeginSeal(frozen_before);
}
Result<std::vector<catalog::InodeRow>> Volume::SealFiles(Seal& seal, SealSink& sink,
                                                         uint64_t limit_bytes,
                                                         const std::function<bool()>& go_on) {
  return impl_->SealFiles(seal, sink, limit_bytes, go_on);
}
Status Volume::CommitSeal(Seal& seal, std::vector<catalog::InodeRow> rows,
                          const std::function<Status(catalog::Writer&)>& also) {
  return impl_->CommitSeal(seal, std::move(rows), also);
}
Result<uint64_t> Volume::GiveBack(const Seal& seal) { return impl_->GiveBack(seal); }
Status Volume::EndSeal(const Seal& seal, const Status& outcome) {
  return impl_->EndSeal(seal, outcome);
}
Result<std::vector<FileDifference>> Volume::Compare(const FindTreeState& a, const FindTreeState& b,
                                                    const std::function<bool()>& go_on) {
  return CompareTrees(*impl_, a, b, go_on);
}
Status Volume::RemoveOrphans() { return impl_->RemoveOrphans(); }
Status Volume::SyncAll() { return impl_->SyncAll(); }

}  // namespace velafs::layer
