// Settling the frozen layers that a crash has left: what they hold is brought to disk, and their
// rows say so.
#include <limits>
#include <optional>

#include "velafs/layer/volume_impl.h"

namespace velafs::layer {

Status Volume::Impl::SettleLayers(const std::function<bool()>& go_on) {
  LayerId last;
  while (go_on()) {
    VELAFS_ASSIGN(const std::optional<Unsettled> unsettled, PinUnsettled(last));
    if (!unsettled) return {};
    last = unsettled->layer;
    Status settled = SettleLayer(*unsettled);
    Status unpinned = RemoveLayers([&](catalog::Writer& writer) {
                        return writer.RemoveUnusedLayers(unsettled->pin);
                      }).status();
    if (settled.ok()) settled = std::move(unpinned);
    if (settled.ok()) continue;
    MutexLock lock(upkeep_lock_);
    // On a full disk it may work later; of damage nobody needs to hear again.
    if (!os::IsOutOfSpace(settled)) unsettleable_.insert(last);
    return std::move(settled).WithContext("cannot settle layer " + std::to_string(last.value));
  }
  return {};
}

// The lowest layer with a higher id than `after` that needs it.
Result<std::optional<Volume::Impl::Unsettled>> Volume::Impl::PinUnsettled(LayerId after) {
  std::set<LayerId> left_out;
  {
    MutexLock lock(upkeep_lock_);
    left_out = unsettleable_;
  }
  std::optional<Unsettled> found;
  const auto needs_it = [&](const catalog::LayerRow& row) {
    const bool is_frozen = row.state == catalog::LayerState::kFrozen;
    return row.id > after && is_frozen && !(row.is_settled && row.logical_bytes) &&
           !left_out.contains(row.id);
  };
  const auto find = [&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const auto layers, writer.Layers());
    for (const catalog::LayerRow& row : layers) {
      if (!needs_it(row)) continue;
      found = Unsettled{.layer = row.id, .pin = {}, .root = {}};
      VELAFS_ASSIGN(found->pin, writer.AddLayer(row.id, catalog::LayerState::kImporting));
      VELAFS_ASSIGN(const auto chain, writer.Chain(row.id));
      VELAFS_ASSIGN(found->root, writer.FirstInode(chain.back().id));
      break;
    }
    return {};
  };
  VELAFS_TRY(parts_.catalog.Write(find).status());
  return found;
}

// A freeze of the layer may be under way: it brings the same to disk.
Status Volume::Impl::SettleLayer(const Unsettled& unsettled) {
  VELAFS_ASSIGN(const auto view, OpenState(unsettled.layer, unsettled.root, "a frozen layer"));
  const std::shared_ptr<Layer> layer = view->Layers().front();
  VELAFS_TRY(layer->SyncDirty(std::numeric_limits<TimeNs>::max()));
  if (layer->IsOnDisk()) VELAFS_TRY(layer->SyncNames());
  VELAFS_ASSIGN(const uint64_t logical_bytes, view->LogicalBytes());
  return parts_.catalog
      .Write([&](catalog::Writer& writer) -> Status {
        VELAFS_TRY(writer.SetLayerLogicalBytes(unsettled.layer, logical_bytes));
        return writer.SetLayerSettled(unsettled.layer, true);
      })
      .status();
}

}  // namespace velafs::layer
