// The system calls that this process may use.
#pragma once

#include "velafs/base/status.h"

namespace velafs::os {

// Allows only the system calls that the daemon needs: files, memory, threads, clocks and Unix
// sockets. For good, and for all present and future threads of this process. Others fail with
// ENOSYS, as on a kernel without them: libraries can do without a new call, and no call ends the
// process. Not allowed are those that start programs or processes, mount, load into the kernel,
// look into other processes, or open network sockets. Fails, and changes nothing, if the kernel has
// no such filters.
Status FilterSystemCalls();

}  // namespace velafs::os
