#include "velafs/layer/layer_tree.h"

#include <algorithm>
#include <string>

namespace velafs::layer {

using catalog::LayerState;

namespace {

Status Missing(LayerId layer) {
  return Corrupt("layer " + std::to_string(layer.value) + " is not in the catalog");
}

bool IsFrozen(const catalog::LayerRow& row) {
  return row.state == LayerState::kFrozen || row.state == LayerState::kSealed;
}

}  // namespace

Status LayerTree::Load(catalog::Reader& reader) {
  VELAFS_ASSIGN(std::vector<catalog::LayerRow> rows, reader.Layers());
  VELAFS_ASSIGN(const std::vector<LayerId> holders, reader.LayerHolders());
  layers_.reserve(rows.size());
  for (const catalog::LayerRow& row : rows) layers_[row.id].row = row;
  for (const catalog::LayerRow& row : rows) {
    if (!row.parent) continue;
    VELAFS_ASSIGN(Entry* const parent, Count(row.parent));
    parent->frozen_at = std::min(parent->frozen_at.value_or(row.created_at), row.created_at);
  }
  for (const LayerId holder : holders) VELAFS_TRY(Count(holder).status());
  return {};
}

Status LayerTree::LoadFrom(catalog::Reader& reader, LayerId top) {
  bool is_own = true;
  bool knows_logical_bytes = false;
  for (LayerId id = top; id && (is_own || !knows_logical_bytes);) {
    auto found = layers_.find(id);
    if (found == layers_.end()) {
      VELAFS_ASSIGN(const std::optional<catalog::LayerRow> row, reader.FindLayer(id));
      if (!row && id == top) return {};
      if (!row) return Missing(id);
      found = layers_.emplace(id, Entry{.row = *row, .uses = 0, .frozen_at = {}}).first;
      VELAFS_ASSIGN(found->second.uses, reader.LayerUses(id));
    }
    const Entry& entry = found->second;
    is_own = is_own && entry.uses <= 1;
    knows_logical_bytes = knows_logical_bytes || entry.row.logical_bytes.has_value();
    id = entry.row.parent;
  }
  return {};
}

Result<LayerTree::Entry*> LayerTree::Count(LayerId used) {
  const auto found = layers_.find(used);
  if (found == layers_.end()) return Missing(used);
  ++found->second.uses;
  return &found->second;
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

bool LayerTree::IsMerge(const Entry& upper, const std::set<LayerId>& left_out) const {
  const Entry* const lower = Find(upper.row.parent);
  if (lower == nullptr || lower->uses != 1 || left_out.contains(lower->row.id)) return false;
  if (!IsFrozen(upper.row) || !IsFrozen(lower->row)) return false;
  const bool is_import = lower->row.state == LayerState::kSealed && !lower->row.parent;
  return !is_import && lower->row.is_settled && upper.row.is_settled;
}

std::optional<LayerTree::Pair> LayerTree::FindMerge(const std::set<LayerId>& left_out) const {
  std::optional<Pair> lowest;
  for (const auto& [id, upper] : layers_) {
    if (!IsMerge(upper, left_out)) continue;
    const Entry* const lower = Find(upper.row.parent);
    if (!lowest || lower->row.id < lowest->lower->id) lowest = {&lower->row, &upper.row};
  }
  return lowest;
}

const catalog::LayerRow* LayerTree::FindUnsealed(TimeNs frozen_before,
                                                 const std::set<LayerId>& left_out) const {
  std::set<LayerId> to_be_merged;
  for (const auto& [id, upper] : layers_) {
    if (IsMerge(upper, {})) to_be_merged.insert({id, upper.row.parent});
  }
  const catalog::LayerRow* lowest = nullptr;
  for (const auto& [id, entry] : layers_) {
    if (entry.row.state != LayerState::kFrozen || !entry.row.is_settled) continue;
    if (left_out.contains(id) || to_be_merged.contains(id)) continue;
    if (entry.frozen_at.value_or(entry.row.created_at) > frozen_before) continue;
    if (lowest == nullptr || id < lowest->id) lowest = &entry.row;
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
