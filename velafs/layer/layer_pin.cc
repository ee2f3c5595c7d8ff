#include "velafs/layer/layer_pin.h"

#include <utility>
#include <vector>

#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"

namespace velafs::layer {

Result<std::unique_ptr<LayerPin>> LayerPin::Make(
    Volume& volume, const std::function<Result<LayerId>(catalog::Reader&)>& find) {
  std::unique_ptr<LayerPin> pin;
  LayerId id;
  const auto add = [&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const LayerId layer, find(writer));
    if (!layer) return {};
    pin.reset(new LayerPin(volume, layer));
    VELAFS_ASSIGN(id, writer.AddLayer(layer, catalog::LayerState::kImporting));
    VELAFS_ASSIGN(const auto chain, writer.Chain(layer));
    VELAFS_ASSIGN(pin->root_, writer.FirstInode(chain.back().id));
    return {};
  };
  VELAFS_TRY(volume.parts().catalog.Write(add).status());
  if (pin) pin->id_ = id;
  return pin;
}

LayerPin::~LayerPin() {
  if (id_) (void)Release();
}

Result<std::shared_ptr<Branch>> LayerPin::OpenState() const {
  return volume_.OpenState(layer_, root_, "a frozen layer");
}

Status LayerPin::Release() {
  return Release([](catalog::Writer&) { return Status(); });
}

Status LayerPin::Release(const std::function<Status(catalog::Writer&)>& also) {
  const LayerId id = std::exchange(id_, {});
  const auto remove = [&](catalog::Writer& writer) -> Result<std::vector<LayerId>> {
    VELAFS_TRY(also(writer));
    return writer.RemoveUnusedLayers(id);
  };
  return volume_.RemoveLayers(remove).status();
}

}  // namespace velafs::layer
