// The directory a store is mounted at.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs::cli {

// True for a mountpoint whose daemon died: all that can be done with it is to detach it.
bool IsDeadMountpoint(const std::string& path);
// Detaches it; through fusermount3 when not root.
Status DetachMountpoint(const std::string& path);

}  // namespace velafs::cli
