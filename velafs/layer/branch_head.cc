// A branch's head over its life: its first change, what becomes durable, and its end. And what
// happens to the layers below it meanwhile.
#include <algorithm>
#include <limits>

#include "velafs/layer/branch_inode.h"

namespace velafs::layer {

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
    VELAFS_TRY(writer.SetLayerLogicalBytes(head, std::nullopt));
    return writer.SetLayerSettled(head, false);
  }));
  // Durable before the first page file: a power cut must not leave page files in a head that passes
  // for cleanly closed.
  VELAFS_TRY(host_.parts().catalog.MakeDurable(commit));
  is_change_noted_ = true;
  return {};
}

Status Branch::Sync(InodeNumber ino, os::SyncKind kind) {
  VELAFS_TRY(CheckChangeable());
  if (is_ephemeral_) return {};
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
  // Ephemeral writes reach the disk in any order, so all must be there before the freeze.
  if (is_ephemeral_) VELAFS_TRY(SyncHeldOff());
  VELAFS_ASSIGN(const HeadState state, DescribeHead());
  VELAFS_ASSIGN(const std::optional<NewHead> new_head, commit(state));
  if (!new_head) return {};
  auto layer = host_.GetLayer(new_head->id, true);
  if (!layer.ok()) return Fail(std::move(layer).status());
  head_ = *std::move(layer);
  chain_.insert(chain_.begin(), {head_, false});
  height_of_[head_->id()] = chain_.size() - 1;
  base_commit_ = new_head->commit;
  is_base_durable_ = false;
  is_change_noted_ = false;
  return {};
}

Status Branch::SyncAll(bool closing) {
  const TimeNs everything = std::numeric_limits<TimeNs>::max();
  VELAFS_TRY(SyncOld(everything));
  if (!closing) return {};
  WriterLock gate(gate_);
  if (is_retired_ || is_failed_ || !is_change_noted_) return {};
  std::optional<uint64_t> logical_bytes;
  if (knows_logical_bytes_) logical_bytes = logical_bytes_;
  const LayerId head = head_->id();
  VELAFS_ASSIGN(const uint64_t allocated_bytes, head_->AllocatedBytes({}));
  VELAFS_ASSIGN(const auto commit,
                host_.parts().catalog.Write([&](catalog::Writer& writer) -> Status {
                  VELAFS_TRY(writer.SetLayerAllocatedBytes(head, allocated_bytes));
                  VELAFS_TRY(writer.SetLayerLogicalBytes(head, logical_bytes));
                  return writer.SetLayerSettled(head, true);
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

Status Branch::SyncHeldOff() {
  for (const ChainLink& link : chain_) {
    Status synced = link.layer->SyncDirty(std::numeric_limits<TimeNs>::max());
    if (!synced.ok()) return SyncFailed(*link.layer, std::move(synced));
  }
  return {};
}

Status Branch::Retire(bool durable, const std::function<Status(const HeadState&)>& commit) {
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  if (durable) {
    VELAFS_TRY(CheckChangeable());
    VELAFS_TRY(SyncHeldOff());
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
  references_.clear();
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

}  // namespace velafs::layer
