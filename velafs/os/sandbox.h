// Rights of root and system calls that a daemon gives up.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::os {

// The restrictions in force.
struct Sandbox {
  std::vector<std::string> capabilities;  // the ones left, by their names in capabilities(7)
  bool no_new_privileges = false;         // no program that it starts has more rights
  bool is_filtered = false;               // only the system calls of os/system_calls.h are answered
  std::string missing;                    // why a restriction is missing, for the log; or empty
};

// Gives up, for good, the rights that the daemon does not need (table in sandbox.cc), for the
// calling thread and all threads that it starts. Must be called while this process has no other
// thread. If the kernel cannot filter system calls, `missing` says so. Fails if rights cannot be
// given up.
Result<Sandbox> EnterSandbox();

// The sandbox of this process; nothing if it has not entered one.
const std::optional<Sandbox>& CurrentSandbox();

// From now on only root can read this process's memory, and a crash writes no core file. The kernel
// also gives this process's files in /proc to root.
void HideMemory();

}  // namespace velafs::os
