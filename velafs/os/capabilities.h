// Capabilities of this thread: single rights of root.
#pragma once

#include <cstdint>
#include <span>

#include "velafs/base/status.h"

namespace velafs::os {

// Gives up, for good and for every program it starts, all capabilities but those in `kept` (numbers
// of linux/capability.h). Returns a bit for each one that is left. Applies to the calling thread
// and the threads that it starts.
Result<uint64_t> KeepOnlyCapabilities(std::span<const int> kept);

}  // namespace velafs::os
