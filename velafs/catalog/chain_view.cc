#include "velafs/catalog/chain_view.h"

#include <map>

namespace velafs::catalog {

ChainOrder::ChainOrder(std::vector<LayerId> nearest_first) : layers_(std::move(nearest_first)) {
  for (size_t i = 0; i < layers_.size(); ++i) height_of_[layers_[i]] = layers_.size() - 1 - i;
}

std::optional<size_t> ChainOrder::HeightOf(LayerId layer) const {
  const auto found = height_of_.find(layer);
  return found == height_of_.end() ? std::nullopt : std::optional(found->second);
}

ChainOrder OrderOf(const std::vector<LayerRow>& chain) {
  std::vector<LayerId> layers;
  layers.reserve(chain.size());
  for (const LayerRow& row : chain) layers.push_back(row.id);
  return ChainOrder(std::move(layers));
}

// Each branch may have a row of its own, of the top directory for example. Where there are many,
// the chain's layers are asked one by one.
Result<std::vector<Reader::InodeInLayer>> ChainView::RowsOf(InodeNumber ino) {
  constexpr size_t kFew = 16;
  const size_t limit = kFew + chain_.layers().size();
  VELAFS_ASSIGN(std::vector<Reader::InodeInLayer> rows, reader_.Inodes(ino, limit));
  if (rows.size() < limit) return rows;
  rows.clear();
  for (const LayerId layer : chain_.layers()) {
    VELAFS_ASSIGN(auto row, reader_.Inode(layer, ino));
    if (row) rows.push_back({layer, *std::move(row)});
  }
  return rows;
}

Result<std::optional<InodeInChain>> ChainView::Inode(InodeNumber ino) {
  VELAFS_ASSIGN(std::vector<Reader::InodeInLayer> rows, RowsOf(ino));
  std::optional<InodeInChain> found;
  size_t nearest = 0;
  LayerId born_layer;
  for (Reader::InodeInLayer& one : rows) {
    const std::optional<size_t> height = chain_.HeightOf(one.layer);
    if (!height) continue;  // another branch's
    if (one.row.born_here) born_layer = std::max(born_layer, one.layer);
    if (found && *height < nearest) continue;
    nearest = *height;
    found = InodeInChain{.row = std::move(one.row), .row_layer = one.layer, .born_layer = {}};
  }
  if (found) found->born_layer = born_layer;
  return found;
}

Status ChainView::ForEachLayerOf(InodeNumber directory, const VisitNames& visit) {
  // A layer that holds names of a directory holds a row of it: only those are asked.
  VELAFS_ASSIGN(const std::vector<Reader::InodeInLayer> rows, RowsOf(directory));
  std::map<size_t, LayerId> layers;
  for (const Reader::InodeInLayer& one : rows) {
    if (const auto height = chain_.HeightOf(one.layer)) layers.emplace(*height, one.layer);
  }
  for (const auto& [height, layer] : layers) {
    VELAFS_ASSIGN(const std::vector<NameRow> names, reader_.Names(layer, directory));
    visit(layer, names);
  }
  return {};
}

}  // namespace velafs::catalog
