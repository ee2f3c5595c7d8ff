// Giving up rights before somebody else's data is read.
#pragma once

#include "velafs/base/status.h"

namespace velafs::os {

// For a process of one thread, from now on: it only computes, and reads and writes what it has
// open. It opens nothing, starts and signals nothing, has limited memory, and is nobody's when it
// was root's. Ends with its parent. Where the kernel cannot filter system calls, the rest holds.
// Fails when one of the rights cannot be given up.
Status ConfineToOpenFiles();

}  // namespace velafs::os
