// Giving up rights before reading another user's data.
#pragma once

#include "velafs/base/status.h"

namespace velafs::os {

// Confines a process of one thread, for good: it can compute, and read and write its open files. It
// can open nothing, start and signal nothing, and has limited memory. Root's process becomes
// nobody's. It ends with its parent. If the kernel cannot filter system calls, the rest applies.
// Fails if one of the rights cannot be given up.
Status ConfineToOpenFiles();

}  // namespace velafs::os
