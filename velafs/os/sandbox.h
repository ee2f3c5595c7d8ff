// What a process gives up that serves others for long: rights of root's, and system calls.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::os {

// What is in force.
struct Sandbox {
  std::vector<std::string> capabilities;  // those that are left, by their names in capabilities(7)
  bool no_new_privileges = false;         // no program that is started has more rights
  bool is_filtered = false;               // only the system calls of os/system_calls.h are answered
  std::string missing;                    // why something is not, for the log; empty: nothing is
};

// Gives up, for good, what the daemon does not need (the table is in sandbox.cc), for the calling
// thread and all that it starts: must be called while this process has no other thread. Where the
// kernel filters no system calls, that is told in `missing`. Fails if rights cannot be given up.
Result<Sandbox> EnterSandbox();

// That of this process; nothing unless it has entered one.
const std::optional<Sandbox>& CurrentSandbox();

// Nobody but root can look into this process's memory from now on, nor can a crash write it to a
// file. The kernel gives this process's files in /proc to root, too.
void HideMemory();

}  // namespace velafs::os
