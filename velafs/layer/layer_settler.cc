#include "velafs/layer/layer_settler.h"

#include <limits>
#include <memory>
#include <set>
#include <string>

#include "velafs/layer/branch.h"
#include "velafs/layer/layer_pin.h"
#include "velafs/layer/volume.h"

namespace velafs::layer {
namespace {

// Pins the lowest layer with a higher id than `after` that is to be settled; null if there is none.
Result<std::unique_ptr<LayerPin>> PinNext(Volume& volume, LayerId after) {
  const std::set<LayerId> left_out = volume.failed_jobs().settling.All();
  return LayerPin::Make(volume, [&](catalog::Reader& reader) -> Result<LayerId> {
    VELAFS_ASSIGN(const auto layers, reader.Layers());
    for (const catalog::LayerRow& row : layers) {
      const bool is_done = row.is_settled && row.logical_bytes;
      if (row.id <= after || row.state != catalog::LayerState::kFrozen || is_done) continue;
      if (!left_out.contains(row.id)) return row.id;
    }
    return LayerId();
  });
}

// A freeze of the layer may be under way: it brings the same to disk.
Status Settle(catalog::Catalog& catalog, const LayerPin& pin) {
  VELAFS_ASSIGN(const auto view, pin.OpenState());
  const std::shared_ptr<Layer> layer = view->Layers().front();
  VELAFS_TRY(layer->SyncDirty(std::numeric_limits<TimeNs>::max()));
  if (layer->IsOnDisk()) VELAFS_TRY(layer->SyncNames());
  VELAFS_ASSIGN(const uint64_t logical_bytes, view->LogicalBytes());
  return catalog
      .Write([&](catalog::Writer& writer) -> Status {
        VELAFS_TRY(writer.SetLayerLogicalBytes(pin.layer(), logical_bytes));
        return writer.SetLayerSettled(pin.layer(), true);
      })
      .status();
}

}  // namespace

Status SettleLayers(Volume& volume, const std::function<bool()>& go_on) {
  LayerId last;
  while (go_on()) {
    VELAFS_ASSIGN(const auto pin, PinNext(volume, last));
    if (!pin) return {};
    last = pin->layer();
    Status settled = Settle(volume.parts().catalog, *pin);
    Status released = pin->Release();
    if (settled.ok()) settled = std::move(released);
    if (settled.ok()) continue;
    volume.failed_jobs().settling.Add(last, settled);
    return std::move(settled).WithContext("cannot settle layer " + std::to_string(last.value));
  }
  return {};
}

}  // namespace velafs::layer
