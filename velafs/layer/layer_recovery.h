// Recovery of layers after a crash.
#pragma once

#include "velafs/base/status.h"
#include "velafs/layer/layer.h"

namespace velafs::layer {

// Makes an unsettled layer agree with the catalog and its durable maps: see DURABILITY.md, 2
// and 10. Durable on return, and the layer is settled in memory. Does nothing for a settled layer.
// Thread-safe: one of several callers recovers the layer, and the others wait.
Status RecoverLayer(const VolumeParts& parts, Layer& layer);

// Removes layer directories the catalog does not know, and page files of layers that are sealed.
// Once, before any layer is loaded.
Status RemoveOrphans(const VolumeParts& parts);

}  // namespace velafs::layer
