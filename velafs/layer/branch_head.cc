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
  InodePtr inode;
  std::vector<std::shared_ptr<PageFile>> files;
  while (true) {
    inode = FindKnown(ino);
    if (!inode) {
      ReaderLock names(namespace_);
      VELAFS_ASSIGN(inode, Find(ino));
    }
    ReaderLock content(inode->content_lock);
    if (inode->is_forgotten) continue;
    if (inode->content) files = inode->content->DirtyFiles();
    break;
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
  if (chain_->links().size() > 1) state.parent = chain_->links()[1].layer->id();
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
  chain_ = chain_->WithHead(head_);
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
  if (has_ended_ || is_failed_ || !is_change_noted_) return {};
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
  if (has_ended_) return {};
  for (const auto& layer : Layers()) {
    Status synced = layer->SyncDirty(older_than);
    if (has_ended_) return {};  // its layers may be gone by now
    if (!synced.ok()) return SyncFailed(*layer, std::move(synced));
  }
  return {};
}

Status Branch::SyncHeldOff() {
  for (const ChainLink& link : chain_->links()) {
    Status synced = link.layer->SyncDirty(std::numeric_limits<TimeNs>::max());
    if (!synced.ok()) return SyncFailed(*link.layer, std::move(synced));
  }
  return {};
}

Status Branch::EndInstance(bool durable, const std::function<Status(const HeadState&)>& commit) {
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  if (durable) {
    VELAFS_TRY(CheckChangeable());
    VELAFS_TRY(SyncHeldOff());
  }
  VELAFS_ASSIGN(const HeadState head, DescribeHead());
  VELAFS_TRY(commit(head));
  has_ended_ = true;
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
  references_.Clear();
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

Status Branch::FollowMove(LayerId layer, const std::vector<InodeNumber>& files) {
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  if (has_ended_ || !chain_->order().Has(layer)) return {};
  Result<ChainPtr> now = Chain::Load(host_, head_->id());
  if (!now.ok()) return Fail(std::move(now).status());
  chain_ = *std::move(now);
  MutexLock lock(inodes_lock_);
  std::vector<IdleReferences::Reference> references;
  Status forgotten;
  for (const InodeNumber ino : files) {
    forgotten = ForgetLoaded(ino, &references);
    if (!forgotten.ok()) break;
  }
  references_.Add(references);
  return forgotten.ok() ? Status() : Fail(std::move(forgotten));
}

// Nobody is loading or changing an inode, but somebody may be reading content of one: who finds it
// forgotten begins anew.
Status Branch::ForgetLoaded(InodeNumber ino, std::vector<IdleReferences::Reference>* references) {
  const auto found = inodes_.find(ino);
  if (found == inodes_.end()) return {};
  const InodePtr inode = found->second;
  WriterLock content(inode->content_lock);
  if (!inode->content) return {};
  // Of one that is gone no row is left to load it by, and the references to it may be too many to
  // be counted without it: it is loaded by the row it has.
  if (inode->is_gone || inode->lookups > IdleReferences::kMostLookups) {
    inode->born_layer = chain_->HeirOf(inode->born_layer);
    inode->row_layer = chain_->HeirOf(inode->row_layer);
    VELAFS_ASSIGN(inode->content, LoadContent(*inode));
    return {};
  }
  if (inode->lookups > 0) references->push_back(inode->References());
  inode->is_forgotten = true;
  inode->content.reset();
  inodes_.erase(found);
  return {};
}

}  // namespace velafs::layer
