// Opening a branch, with the recovery of a head, or of a freeze, that was cut off.
#include <sys/stat.h>

#include "velafs/layer/branch_inode.h"

namespace velafs::layer {

Result<std::shared_ptr<Branch>> Branch::Open(BranchHost& host, const catalog::BranchRow& row) {
  std::shared_ptr<Branch> branch(new Branch(host, row));
  VELAFS_TRY(branch->LoadChain(row.head));
  // Without it no end of the head is a clean one, which would cost this branch all its changes.
  if (row.is_ephemeral) VELAFS_TRY(branch->LogicalBytes().status());
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

}  // namespace velafs::layer
