// Opening a branch, with the recovery of what a crash has cut off in its layers.
#include <sys/stat.h>

#include "velafs/layer/branch_inode.h"
#include "velafs/layer/layer_recovery.h"

namespace velafs::layer {

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
    VELAFS_ASSIGN(auto layer, host_.GetLayer(rows[i].id, rows[i].is_settled));
    chain_.push_back({std::move(layer), rows[i].state == catalog::LayerState::kSealed});
    height_of_[rows[i].id] = rows.size() - 1 - i;
  }
  head_ = chain_[0].layer;
  is_change_noted_ = !rows[0].is_settled;
  if (rows[0].is_settled && rows[0].logical_bytes) {
    logical_bytes_ = *rows[0].logical_bytes;
    knows_logical_bytes_ = true;
  }
  // A crash may have cut off the use of the head, a freeze or a merge: that leaves a layer as a
  // crash leaves a head.
  for (const ChainLink& link : chain_) VELAFS_TRY(RecoverLayer(host_.parts(), *link.layer));
  return {};
}

}  // namespace velafs::layer
