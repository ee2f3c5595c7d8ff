// Settling the frozen layers that a crash has left.
#pragma once

#include <functional>

#include "velafs/base/status.h"

namespace velafs::layer {

class Volume;

// Brings to disk what frozen layers hold that are not settled, notes that in the catalog, and
// counts the sizes of their files if nobody has: only settled layers are merged, sealed and
// checked. Returns early once `go_on` is false. Not while a merge or a sealing is under way.
Status SettleLayers(Volume& volume, const std::function<bool()>& go_on);

}  // namespace velafs::layer
