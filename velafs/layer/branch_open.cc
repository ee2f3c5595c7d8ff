// Opening a branch, with the recovery of what a crash has cut off in its layers.
#include "velafs/layer/branch_inode.h"
#include "velafs/layer/layer_recovery.h"

namespace velafs::layer {

Result<std::shared_ptr<Branch>> Branch::Open(BranchHost& host, const catalog::BranchRow& row) {
  std::shared_ptr<Branch> branch(new Branch(host, row));
  VELAFS_TRY(branch->LoadChain(row.head));
  return branch;
}

Status Branch::LoadChain(LayerId head) {
  VELAFS_ASSIGN(const ChainPtr chain, Chain::Load(host_, head));
  catalog::LayerRow row;
  VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(row, reader.Layer(head));
    return {};
  }));
  base_commit_ = host_.parts().catalog.LastCommit();
  is_change_noted_ = !row.is_settled;
  if (row.is_settled && row.logical_bytes) {
    logical_bytes_ = *row.logical_bytes;
    knows_logical_bytes_ = true;
  }
  // A crash may have cut off the use of the head, a freeze or a merge: that leaves a layer as a
  // crash leaves a head.
  for (const ChainLink& link : chain->links()) {
    VELAFS_TRY(RecoverLayer(host_.parts(), *link.layer));
  }
  WriterLock gate(gate_);
  WriterLock names(namespace_);
  chain_ = chain;
  head_ = chain->head();
  return {};
}

}  // namespace velafs::layer
