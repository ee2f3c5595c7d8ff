#include "velafs/layer/chain.h"

namespace velafs::layer {
namespace {

std::vector<LayerId> IdsOf(const std::vector<ChainLink>& links) {
  std::vector<LayerId> ids;
  ids.reserve(links.size());
  for (const ChainLink& link : links) ids.push_back(link.layer->id());
  return ids;
}

}  // namespace

Chain::Chain(std::vector<ChainLink> links, uint64_t generation)
    : links_(std::move(links)), order_(IdsOf(links_)), generation_(generation) {}

Result<ChainPtr> Chain::Make(BranchHost& host, const std::vector<catalog::LayerRow>& rows,
                             uint64_t generation) {
  std::vector<ChainLink> links;
  links.reserve(rows.size());
  for (const catalog::LayerRow& row : rows) {
    VELAFS_ASSIGN(auto layer, host.GetLayer(row.id, row.is_settled));
    links.push_back({std::move(layer), row.state == catalog::LayerState::kSealed});
  }
  return std::make_shared<const Chain>(std::move(links), generation);
}

Result<ChainPtr> Chain::Load(BranchHost& host, LayerId top) {
  return LoadUnmoved(host, [&]() -> Result<ChainPtr> {
    const uint64_t generation = host.generation();
    std::vector<catalog::LayerRow> rows;
    VELAFS_TRY(host.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(rows, reader.Chain(top));
      return {};
    }));
    return Make(host, rows, generation);
  });
}

bool Chain::IsCurrent(catalog::Reader& reader) const {
  const auto rows = reader.Chain(head_id());
  return rows.ok() && catalog::OrderOf(*rows).layers() == order_.layers();
}

ChainPtr Chain::WithHead(std::shared_ptr<Layer> head) const {
  std::vector<ChainLink> links;
  links.reserve(links_.size() + 1);
  links.push_back({std::move(head), false});
  links.insert(links.end(), links_.begin(), links_.end());
  return std::make_shared<const Chain>(std::move(links), generation_);
}

LayerId Chain::HeirOf(LayerId layer) const {
  // A layer has a higher id than those below it, and is merged into the one above it.
  if (!layer) return layer;
  LayerId heir;
  for (const ChainLink& link : links_) {
    if (link.layer->id() < layer) break;
    heir = link.layer->id();
  }
  return heir;
}

}  // namespace velafs::layer
