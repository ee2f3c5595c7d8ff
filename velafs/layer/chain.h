// The layers a branch sees its files through.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/chain_view.h"
#include "velafs/layer/branch_host.h"
#include "velafs/layer/layer.h"

namespace velafs::layer {

struct ChainLink {
  std::shared_ptr<Layer> layer;
  bool is_sealed;
};

// A head and all layers below it. Immutable: a branch whose layers change gets another chain.
class Chain {
 public:
  // Nearest first; not empty. `generation`: the host's when the catalog was asked for them.
  Chain(std::vector<ChainLink> links, uint64_t generation);
  // The chain of the catalog's rows.
  static Result<std::shared_ptr<const Chain>> Make(BranchHost& host,
                                                   const std::vector<catalog::LayerRow>& rows,
                                                   uint64_t generation);
  // The chain the catalog has now.
  static Result<std::shared_ptr<const Chain>> Load(BranchHost& host, LayerId top);

  const std::vector<ChainLink>& links() const { return links_; }
  const catalog::ChainOrder& order() const { return order_; }
  uint64_t generation() const { return generation_; }
  const std::shared_ptr<Layer>& head() const { return links_.front().layer; }
  LayerId head_id() const { return links_.front().layer->id(); }
  // Whether the catalog has the same layers under its head.
  bool IsCurrent(catalog::Reader& reader) const;
  // The chain with a new, empty `head` on top of it.
  std::shared_ptr<const Chain> WithHead(std::shared_ptr<Layer> head) const;
  // The layer that now holds the content of `layer`, which is or was in the chain: itself, or the
  // one that it was merged into.
  LayerId HeirOf(LayerId layer) const;

 private:
  const std::vector<ChainLink> links_;
  const catalog::ChainOrder order_;
  const uint64_t generation_;
};
using ChainPtr = std::shared_ptr<const Chain>;

}  // namespace velafs::layer
