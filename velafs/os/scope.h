// Scopes of systemd's: a process that is to outlive what started it, or is to be limited, gets a
// control group of its own, with its children.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "velafs/base/status.h"

namespace velafs::os {

struct Scope {
  std::string name;  // of the unit, without ".scope"; another process's must not have it
  std::string description;
  std::optional<uint64_t> memory_max_bytes = {};
  std::optional<double> cpus = {};  // 0.5: half of one
};

// Whether a systemd runs that this user may ask for a scope: the machine's for root, the user's own
// for others.
bool CanHaveScope();

// Moves this process, and what it starts from now on, into a scope of its own, which ends with its
// last process. To be called before this process has children.
Status EnterScope(const Scope& scope);

// The service in whose control group this process is ("gitlab-runner.service"), and with which it
// would end; empty if there is none, as after a login.
std::string ServiceOfThisProcess();
// The same of the text of /proc/PID/cgroup.
std::string ServiceIn(const std::string& cgroups);

// Whether systemd runs here and has that unit, installed by whomever: "velapg@.service".
bool HasSystemUnit(const std::string& unit);

}  // namespace velafs::os
