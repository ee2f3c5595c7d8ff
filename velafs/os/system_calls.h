// Which system calls this process may use.
#pragma once

#include "velafs/base/status.h"

namespace velafs::os {

// From now on, for good, and in the threads there are as in those to come, the kernel answers only
// the system calls that the daemon needs: files, memory, threads, clocks and Unix sockets. It
// answers ENOSYS to the others, as a kernel that does not have them: libraries know how to do
// without a new one, and nothing that is refused ends the process. Among the others are those that
// start programs or processes, mount, load into the kernel, look into other processes, and open
// sockets to the network. Fails, and changes nothing, where the kernel has no such filters.
Status FilterSystemCalls();

}  // namespace velafs::os
