#include "velafs/layer/layer_tree.h"

#include <utility>

namespace velafs::layer {

Status LayerTree::Load(catalog::Reader& reader) {
  VELAFS_ASSIGN(std::vector<catalog::LayerRow> rows, reader.Layers());
  VELAFS_ASSIGN(const std::vector<LayerId> holders, reader.LayerHolders());
  layers_.reserve(rows.size());
  for (catalog::LayerRow& row : rows) {
    const LayerId parent = row.parent;
    layers_[row.id].row = std::move(row);
    if (parent) ++layers_[parent].uses;
  }
  for (const LayerId holder : holders) ++layers_[holder].uses;
  return {};
}

const LayerTree::Entry* LayerTree::Find(LayerId id) const {
  const auto found = layers_.find(id);
  return found == layers_.end() ? nullptr : &found->second;
}

std::vector<const catalog::LayerRow*> LayerTree::OwnLayers(LayerId top) const {
  std::vector<const catalog::LayerRow*> own;
  const Entry* entry = Find(top);
  while (entry != nullptr && entry->uses <= 1) {
    own.push_back(&entry->row);
    entry = Find(entry->row.parent);
  }
  return own;
}

std::optional<LayerTree::Pair> LayerTree::FindMerge(const std::set<LayerId>& left_out) const {
  using catalog::LayerState;
  std::optional<Pair> lowest;
  for (const auto& [id, upper] : layers_) {
    const Entry* const lower = Find(upper.row.parent);
    if (lower == nullptr || lower->uses != 1 || left_out.contains(lower->row.id)) continue;
    if (upper.row.state != LayerState::kFrozen || lower->row.state != LayerState::kFrozen) continue;
    if (!lower->row.logical_bytes) continue;  // not settled: a crash has left it so
    if (!lowest || lower->row.id < lowest->lower->id) lowest = {&lower->row, &upper.row};
  }
  return lowest;
}

uint64_t LayerTree::LogicalBytes(LayerId top, bool* is_estimate) const {
  *is_estimate = false;
  for (const Entry* entry = Find(top); entry != nullptr; entry = Find(entry->row.parent)) {
    if (entry->row.logical_bytes) return *entry->row.logical_bytes;
    *is_estimate = true;
  }
  return 0;
}

}  // namespace velafs::layer
