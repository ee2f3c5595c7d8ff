// The kernel's group of the processes of a branch's server: limits apply to it, and it does not end
// with another group.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The policies `cpus` and `memory`. 0: no limit.
struct ServerLimits {
  uint64_t cpu_percent = 0;  // of one processor
  uint64_t memory_bytes = 0;

  bool operator==(const ServerLimits&) const = default;
  bool any() const { return cpu_percent != 0 || memory_bytes != 0; }
};
Result<ServerLimits> LimitsOf(Session& session, const std::string& branch);

// Which group a server is going to be in.
struct ServerGroup {
  enum class Kind {
    kCallers,    // that of the process that starts it
    kUnit,       // the caller's, a systemd unit made for this server
    kScope,      // a systemd scope of its own
    kDirectory,  // a control group of its own, made by us
  };
  Kind kind = Kind::kCallers;
  std::string unit;                      // of kUnit and kScope
  std::vector<std::string> directories;  // of kDirectory: one in each hierarchy
  ServerLimits limits;
  // Of kCallers, if the caller's group is a service that may end before the server: that service.
  std::string ends_with;
};

// Chooses the group, and makes it if it is a directory. Refused when there are limits that nothing
// here can enforce. Not while acting as anybody.
Result<ServerGroup> PlanServerGroup(const std::string& branch, const ServerLimits& limits,
                                    bool outlives_caller);

// Puts this process, a child about to exec, into the group. As who may: root, or the user.
Status JoinServerGroup(const ServerGroup& group);

// Removes the directories of groups that velapg has made for the branch, if they are empty.
void RemoveServerGroup(const std::string& branch);

// The limits of a process's group, if velapg has set them. Reads only files that all users may
// read.
ServerLimits LimitsOfProcess(pid_t pid);

// True of units that velapg's servers run in on purpose.
bool IsServersUnit(std::string_view unit);
}  // namespace velafs::pgctl
