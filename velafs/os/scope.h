// Scopes of systemd: a control group of its own for a process and its children, to outlive the
// service that started it, or to be limited.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "velafs/base/status.h"

namespace velafs::os {

struct Scope {
  std::string name;  // of the unit, without ".scope"; unique
  std::string description;
  std::optional<uint64_t> memory_max_bytes = {};
  std::optional<double> cpus = {};  // 0.5: half of one
};

// Whether this user can ask a running systemd for a scope: root the machine's, others their own.
bool CanHaveScope();

// Moves this process, and its future children, into a scope of its own, which ends with its last
// process. To be called before this process has children.
Status EnterScope(const Scope& scope);

// The service that this process would end with ("gitlab-runner.service"), by its control group.
// Empty if there is none, as after a login.
std::string ServiceOfThisProcess();
// The same from the text of /proc/PID/cgroup.
std::string ServiceIn(const std::string& cgroups);

// Whether systemd runs here and has that unit, such as "velapg@.service".
bool HasSystemUnit(const std::string& unit);

}  // namespace velafs::os
