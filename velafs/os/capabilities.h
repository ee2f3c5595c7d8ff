// Capabilities of this thread: rights of root's, one by one.
#pragma once

#include <cstdint>
#include <span>

#include "velafs/base/status.h"

namespace velafs::os {

// Gives up, for good and for every program it starts, all capabilities but those of `kept` (numbers
// of linux/capability.h), as far as it has them: the answer has a bit for each that is left. Only
// of the calling thread, and of threads that it starts.
Result<uint64_t> KeepOnlyCapabilities(std::span<const int> kept);

}  // namespace velafs::os
