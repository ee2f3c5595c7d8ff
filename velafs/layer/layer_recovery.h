// What becomes of a layer whose last changes a crash may have cut off.
#pragma once

#include "velafs/base/status.h"
#include "velafs/layer/layer.h"

namespace velafs::layer {

// Makes a layer that is not settled what its catalog and its durable maps say it is: see
// DURABILITY.md, 2 and 10. Durable on return, and the layer is settled in memory. Nothing to do for
// a settled layer. Thread-safe: of several callers one recovers the layer, and the others wait.
Status RecoverLayer(const VolumeParts& parts, Layer& layer);

// Removes layer directories the catalog does not know, and page files of layers that are sealed.
// Once, before any layer is loaded.
Status RemoveOrphans(const VolumeParts& parts);

}  // namespace velafs::layer
