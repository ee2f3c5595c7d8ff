// The parts that a volume is made of.
#pragma once

#include <string>

#include "velafs/base/ids.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/os/space_reserve.h"
#include "velafs/os/storage.h"

namespace velafs::layer {

// Borrowed; must outlive the volume.
struct VolumeParts {
  os::Storage& storage;
  catalog::Catalog& catalog;
  chunk::PackReader& packs;
  os::SpaceReserve& reserve;  // for what frees space
  std::string layers_directory;
};

// Where a layer's page files are.
inline std::string LayerDirectory(const VolumeParts& parts, LayerId layer) {
  return parts.layers_directory + "/" + std::to_string(layer.value);
}

}  // namespace velafs::layer
