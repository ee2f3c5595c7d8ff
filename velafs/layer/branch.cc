#include "velafs/layer/branch.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <unordered_set>

#include "velafs/layer/branch_inode.h"

namespace velafs::layer {

bool Branch::Inode::IsDirectory() const { return S_ISDIR(row.mode); }
bool Branch::Inode::IsFile() const { return S_ISREG(row.mode); }

Branch::Branch(BranchHost& host, const catalog::BranchRow& row)
    : host_(host),
      instance_(row.instance),
      root_(row.root),
      shown_as_(row.shown_as),
      first_layer_(row.first_layer),
      allowance_(row.quota_bytes),
      name_(row.name) {}

Result<std::shared_ptr<Branch>> Branch::Open(BranchHost& host, const catalog::BranchRow& row) {
  std::shared_ptr<Branch> branch(new Branch(host, row));
  VELAFS_TRY(branch->LoadChain(row.head));
  return branch;
}

Status Branch::LoadChain(LayerId head) {
  std::vector<catalog::LayerRow> rows;
  VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Chain(head));
    return {};
  }));
  base_commit_ = host_.parts().catalog.LastCommit();
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  for (size_t i = 0; i < rows.size(); ++i) {
    VELAFS_ASSIGN(auto layer, host_.GetLayer(rows[i].id, rows[i].logical_bytes.has_value()));
    chain_.push_back({std::move(layer), rows[i].state == catalog::LayerState::kSealed});
    height_of_[rows[i].id] = rows.size() - 1 - i;
  }
  head_ = chain_[0].layer;
  // A freeze that was cut off leaves what was the head as a crash leaves a head.
  if (rows.size() > 1 && rows[1].state == catalog::LayerState::kFrozen &&
      !chain_[1].layer->is_settled()) {
    VELAFS_TRY(RecoverLayer(*chain_[1].layer));
  }
  if (rows[0].logical_bytes) {
    head_->SetRecovered();
    logical_bytes_ = *rows[0].logical_bytes;
    knows_logical_bytes_ = true;
    return {};
  }
  is_change_noted_ = true;
  return RecoverLayer(*head_);
}

// The layer was a head in use when its daemon died. Page files that no durable fsync had reached
// go, for good: the inode numbers of transactions that were lost are given again. The rest, names
// too, may be newer in the host's cache than on its disk, and a freeze relies on it being on disk.
Status Branch::RecoverLayer(Layer& layer) {
  if (!layer.needs_recovery()) return {};
  VELAFS_TRY(layer.RemoveStrayMaps());
  for (const Layer::PageFileName& name : layer.PageFiles()) {
    VELAFS_ASSIGN(const bool keep, IsWorthKeeping(layer, name));
    if (!keep) {
      VELAFS_TRY(layer.Discard(name.ino));
      continue;
    }
    const auto file = layer.Find(name.ino, name.has_map);
    if (!file.ok()) continue;  // damaged: it says so to whoever opens it
    (*file)->MarkDirty();
    VELAFS_TRY((*file)->Sync(os::SyncKind::kFull));
  }
  VELAFS_TRY(host_.parts().reserve.Run([&] { return MakeLostPageFiles(layer); }));
  if (layer.IsOnDisk()) VELAFS_TRY(layer.SyncNames());
  layer.SetRecovered();
  return {};
}

// A file whose creation became durable, but not its page file, is what it was then. From here on a
// page file that is missing has been lost.
Status Branch::MakeLostPageFiles(Layer& layer) {
  std::vector<catalog::InodeRow> rows;
  VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.InodesOf(layer.id()));
    return {};
  }));
  for (const catalog::InodeRow& row : rows) {
    if (!row.born_here || !S_ISREG(row.mode) || row.nlink == 0) continue;
    if (layer.IsSealed(row.ino)) continue;
    const auto found = layer.Find(row.ino, false);
    if (!found.ok() || *found) continue;
    VELAFS_ASSIGN(const auto file, layer.Create(row.ino, row.size_bytes, std::nullopt));
    VELAFS_TRY(file->Sync(os::SyncKind::kFull));
  }
  return {};
}

Result<bool> Branch::IsWorthKeeping(Layer& layer, const Layer::PageFileName& name) {
  std::optional<catalog::InodeRow> row;
  VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(row, reader.Inode(layer.id(), name.ino));
    return {};
  }));
  if (!name.has_map) return row && row->born_here && row->nlink > 0;
  if (row && row->nlink == 0) return false;
  return layer.HasWrittenMap(name.ino);
}

Status Branch::CheckAlive() const { return is_retired_ ? Errno(ESTALE) : Status(); }

Status Branch::CheckChangeable() const {
  VELAFS_TRY(CheckAlive());
  return is_failed_ ? Errno(EIO) : Status();
}

Status Branch::Fail(Status status) {
  is_failed_ = true;
  return std::move(status).WithContext("branch " + QuotedName() + " takes no more changes");
}

std::string Branch::QuotedName() {
  MutexLock lock(name_lock_);
  return "\"" + name_ + "\"";
}

Status Branch::SyncFailed(const Layer& layer, Status status) {
  return layer.has_failed() ? Fail(std::move(status)) : status;
}

Status Branch::NoteChange() {
  if (!is_base_durable_) {
    // Before its first page file: one in a layer that no catalog on disk knows would pass for a
    // later catalog's.
    VELAFS_TRY(host_.parts().catalog.MakeDurable(base_commit_));
    is_base_durable_ = true;
  }
  if (is_change_noted_) return {};
  const LayerId head = head_->id();
  VELAFS_ASSIGN(const auto commit, host_.parts().catalog.Write([&](catalog::Writer& writer) {
    return writer.SetLayerLogicalBytes(head, std::nullopt);
  }));
  // Durable before the first page file: a power cut must not leave page files in a head that passes
  // for cleanly closed.
  VELAFS_TRY(host_.parts().catalog.MakeDurable(commit));
  is_change_noted_ = true;
  return {};
}

Branch::InodePtr Branch::FindKnown(InodeNumber ino) {
  MutexLock lock(inodes_lock_);
  const auto found = inodes_.find(ino);
  return found == inodes_.end() ? nullptr : found->second;
}

Result<Branch::InodePtr> Branch::Find(InodeNumber ino) {
  if (InodePtr known = FindKnown(ino)) return known;
  VELAFS_ASSIGN(InodePtr loaded, Load(ino));
  MutexLock lock(inodes_lock_);
  return inodes_.try_emplace(ino, std::move(loaded)).first->second;
}

Result<Branch::InodePtr> Branch::FindFile(InodeNumber ino) {
  VELAFS_TRY(CheckAlive());
  InodePtr inode = FindKnown(ino);
  if (!inode) {
    ReaderLock names(namespace_);
    VELAFS_ASSIGN(inode, Find(ino));
  }
  if (inode->IsFile()) return inode;
  return Errno(inode->IsDirectory() ? EISDIR : EINVAL);
}

Result<Branch::InodePtr> Branch::FindDirectory(InodeNumber ino) {
  VELAFS_TRY(CheckAlive());
  VELAFS_ASSIGN(InodePtr inode, Find(ino));
  if (!inode->IsDirectory()) return Errno(ENOTDIR);
  return inode;
}

Result<Branch::RowsByHeight> Branch::RowsOf(InodeNumber ino) {
  std::vector<catalog::Reader::InodeInLayer> said;
  VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(said, reader.Inodes(ino));
    return {};
  }));
  RowsByHeight rows;
  for (catalog::Reader::InodeInLayer& one : said) {
    const auto height = height_of_.find(one.layer);
    if (height != height_of_.end())
      rows.emplace(height->second, std::move(one));  // not another branch's
  }
  return rows;
}

Result<Branch::InodePtr> Branch::Load(InodeNumber ino) {
  while (true) {
    Result<InodePtr> loaded = TryLoad(ino);
    // Sealed a moment ago: its row is another by now.
    const bool is_stale = loaded.status().error_number() == EAGAIN;
    if (!is_stale) return loaded;
  }
}

Result<Branch::InodePtr> Branch::TryLoad(InodeNumber ino) {
  VELAFS_ASSIGN(RowsByHeight rows, RowsOf(ino));
  auto inode = std::make_shared<Inode>(ino);
  for (auto& [height, said] : rows) {
    if (said.row.born_here) inode->born_layer = said.layer;
    inode->row_layer = said.layer;
    inode->row = std::move(said.row);
  }
  if (!inode->row_layer || inode->row.nlink == 0) return Errno(ESTALE);
  // It may have been changed, forgotten by the kernel, and never synced: nobody remembers when.
  if (inode->row_layer == chain_[0].layer->id()) {
    inode->changed_at = host_.parts().catalog.LastCommit();
  }
  if (inode->IsFile()) {
    WriterLock content(inode->content_lock);
    VELAFS_ASSIGN(inode->content, LoadContent(*inode));
  }
  return inode;
}

Result<FileContent> Branch::LoadContent(const Inode& inode) {
  Result<FileContent> content =
      FileContent::Load(chain_, inode.row, inode.row_layer, inode.born_layer);
  if (content.ok()) return content;
  return std::move(content).status().WithContext("inode " + std::to_string(inode.ino.value) +
                                                 " of branch " + QuotedName());
}

void Branch::Retain(InodeNumber ino, uint64_t count) {
  if (InodePtr known = FindKnown(ino)) {
    known->lookups += count;
    return;
  }
  ReaderLock names(namespace_);
  if (Result<InodePtr> inode = Find(ino); inode.ok()) (*inode)->lookups += count;
}

void Branch::Forget(InodeNumber ino, uint64_t count) {
  InodePtr last_use;  // freed after the lock
  MutexLock lock(inodes_lock_);
  const auto found = inodes_.find(ino);
  if (found == inodes_.end()) return;
  Inode& inode = *found->second;
  inode.lookups -= std::min(count, inode.lookups.load());
  if (inode.lookups > 0) return;
  if (inode.is_gone) {
    DropIfGone(found->second);
  } else if (found->second.use_count() == 1) {
    last_use = std::move(found->second);
    inodes_.erase(found);
  }
}

void Branch::DropIfGone(const InodePtr& inode) {
  if (!inode->is_gone || inode->lookups > 0) return;
  const InodePtr dropped = inode;
  inodes_.erase(dropped->ino);
  ReaderLock content(dropped->content_lock);
  if (!dropped->content) return;
  for (const auto& file : dropped->content->FilesFrom(dropped->gone_layer)) {
    host_.DiscardLater(file->layer().shared_from_this(), dropped->ino, dropped->gone_commit);
  }
}

Status Branch::Sync(InodeNumber ino, os::SyncKind kind) {
  VELAFS_TRY(CheckChangeable());
  InodePtr inode = FindKnown(ino);
  if (!inode) {
    ReaderLock names(namespace_);
    VELAFS_ASSIGN(inode, Find(ino));
  }
  std::vector<std::shared_ptr<PageFile>> files;
  {
    ReaderLock content(inode->content_lock);
    if (inode->content) files = inode->content->DirtyFiles();
  }
  for (const auto& file : files) {
    if (Status synced = file->Sync(kind); !synced.ok()) {
      return SyncFailed(file->layer(), std::move(synced));
    }
  }
  const auto commit = std::max(inode->changed_at.load(), base_commit_.load());
  if (Status durable = host_.parts().catalog.MakeDurable(commit); !durable.ok()) {
    return Fail(std::move(durable));
  }
  return {};
}

Result<Branch::HeadState> Branch::DescribeHead() {
  HeadState state{.head = head_->id(), .parent = {}, .is_empty = false, .logical_bytes = {}};
  if (chain_.size() > 1) state.parent = chain_[1].layer->id();
  if (!head_->HasPageFiles()) {
    VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(state.is_empty, reader.LayerIsEmpty(state.head));
      return {};
    }));
  }
  if (knows_logical_bytes_) state.logical_bytes = logical_bytes_;
  return state;
}

Status Branch::ReplaceHead(
    const std::function<Result<std::optional<NewHead>>(const HeadState&)>& commit) {
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  VELAFS_TRY(CheckChangeable());
  VELAFS_ASSIGN(const HeadState state, DescribeHead());
  VELAFS_ASSIGN(const std::optional<NewHead> new_head, commit(state));
  if (!new_head) return {};
  auto layer = host_.GetLayer(new_head->id, true);
  if (!layer.ok()) return Fail(std::move(layer).status());
  head_ = *std::move(layer);
  head_->SetRecovered();  // it is new
  chain_.insert(chain_.begin(), {head_, false});
  height_of_[head_->id()] = chain_.size() - 1;
  base_commit_ = new_head->commit;
  is_base_durable_ = false;
  is_change_noted_ = !knows_logical_bytes_;
  return {};
}

Status Branch::SyncAll(bool closing) {
  const TimeNs everything = std::numeric_limits<TimeNs>::max();
  VELAFS_TRY(SyncOld(everything));
  if (!closing) return {};
  WriterLock gate(gate_);
  if (is_retired_ || is_failed_ || !is_change_noted_ || !knows_logical_bytes_) return {};
  const LayerId head = head_->id();
  VELAFS_ASSIGN(const uint64_t allocated_bytes, head_->AllocatedBytes({}));
  VELAFS_ASSIGN(const auto commit,
                host_.parts().catalog.Write([&](catalog::Writer& writer) -> Status {
                  VELAFS_TRY(writer.SetLayerAllocatedBytes(head, allocated_bytes));
                  return writer.SetLayerLogicalBytes(head, logical_bytes_.load());
                }));
  is_change_noted_ = false;
  return host_.parts().catalog.MakeDurable(commit);
}

Status Branch::SyncOld(TimeNs older_than) {
  if (is_retired_) return {};
  for (const auto& layer : Layers()) {
    if (Status synced = layer->SyncDirty(older_than); !synced.ok()) {
      return SyncFailed(*layer, std::move(synced));
    }
  }
  return {};
}

Status Branch::Retire(bool durable, const std::function<Status(const HeadState&)>& commit) {
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  if (durable) {
    VELAFS_TRY(CheckChangeable());
    for (const ChainLink& link : chain_) {
      Status synced = link.layer->SyncDirty(std::numeric_limits<TimeNs>::max());
      if (!synced.ok()) return Fail(std::move(synced));
    }
  }
  VELAFS_ASSIGN(const HeadState head, DescribeHead());
  VELAFS_TRY(commit(head));
  is_retired_ = true;
  MutexLock lock(inodes_lock_);
  std::vector<InodePtr> gone;
  for (const auto& [ino, inode] : inodes_) {
    if (inode->is_gone) gone.push_back(inode);
  }
  for (const InodePtr& inode : gone) {
    inode->lookups = 0;
    DropIfGone(inode);
  }
  inodes_.clear();
  return {};
}

std::vector<LayerId> Branch::GoneLayers() {
  std::vector<LayerId> layers;
  ReaderLock names(namespace_);
  MutexLock lock(inodes_lock_);
  for (const auto& [ino, inode] : inodes_) {
    if (inode->is_gone) layers.push_back(inode->gone_layer);
  }
  return layers;
}

Status Branch::Absorb(const Layer& lower, Layer& upper) {
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  const auto found =
      std::ranges::find(chain_, lower.id(), [](const ChainLink& link) { return link.layer->id(); });
  if (found == chain_.end()) return {};
  MutexLock lock(inodes_lock_);
  for (const auto& [ino, inode] : inodes_) {
    if (inode->row_layer == lower.id()) inode->row_layer = upper.id();
    if (inode->born_layer == lower.id()) inode->born_layer = upper.id();
    WriterLock content(inode->content_lock);
    if (!inode->content) continue;
    if (Status absorbed = inode->content->Absorb(lower, upper); !absorbed.ok()) {
      return Fail(std::move(absorbed));
    }
  }
  chain_.erase(found);
  height_of_.clear();
  for (size_t i = 0; i < chain_.size(); ++i) {
    height_of_[chain_[i].layer->id()] = chain_.size() - 1 - i;
  }
  return {};
}

Status Branch::Refresh(Layer& layer, const std::vector<catalog::InodeRow>& rows) {
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  if (!height_of_.contains(layer.id())) return {};
  MutexLock lock(inodes_lock_);
  for (const catalog::InodeRow& row : rows) {
    const auto found = inodes_.find(row.ino);
    if (found == inodes_.end()) continue;
    Inode& inode = *found->second;
    WriterLock content(inode.content_lock);
    if (!inode.content) continue;
    if (Status refreshed = inode.content->Refresh(layer); !refreshed.ok()) {
      return Fail(std::move(refreshed));
    }
    if (inode.row_layer > layer.id()) continue;
    inode.row = row;
    inode.row_layer = layer.id();
  }
  return {};
}

void Branch::SetName(const std::string& name) {
  MutexLock lock(name_lock_);
  name_ = name;
}

std::vector<std::shared_ptr<Layer>> Branch::Layers() {
  ReaderLock names(namespace_);
  std::vector<std::shared_ptr<Layer>> layers;
  layers.reserve(chain_.size());
  for (const ChainLink& link : chain_) layers.push_back(link.layer);
  return layers;
}

Result<uint64_t> Branch::LogicalBytes() {
  if (knows_logical_bytes_) return logical_bytes_.load();
  WriterLock gate(gate_);
  ReaderLock names(namespace_);
  VELAFS_ASSIGN(const uint64_t sum, SumSizes());
  logical_bytes_ = sum;
  knows_logical_bytes_ = true;
  return sum;
}

Result<uint64_t> Branch::SumSizes() {
  uint64_t sum = 0;
  std::unordered_set<InodeNumber> seen;
  std::vector<InodeNumber> to_visit = {root_};
  while (!to_visit.empty()) {
    const Result<InodePtr> found = Find(to_visit.back());
    to_visit.pop_back();
    if (found.status().code() == Code::kCorrupt) continue;  // counts nothing, and costs no listing
    VELAFS_TRY(found.status());
    const InodePtr inode = *found;
    if (!seen.insert(inode->ino).second) continue;
    if (inode->IsDirectory()) {
      VELAFS_ASSIGN(Directory * names, NamesOf(*inode));
      for (auto entry = names->After(0); entry != names->end(); ++entry) {
        if (entry->second.ino) to_visit.push_back(entry->second.ino);
      }
    }
    ReaderLock content(inode->content_lock);
    if (inode->content) sum += inode->content->size_bytes();
  }
  return sum;
}

}  // namespace velafs::layer
