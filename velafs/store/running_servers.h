// The servers that run on a store's branches, as of the moment it was made.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "velafs/store/servers.h"
#include "velafs/store/store.h"

namespace velafs::store {

// One thread.
class Store::RunningServers {
 public:
  // Without a mountpoint no server can run on a branch.
  explicit RunningServers(const std::optional<std::string>& mountpoint) {
    if (!mountpoint) return;
    mountpoint_ = *mountpoint;
    working_in_ = WorkingDirectoriesUnder(mountpoint_);
  }

  // The server's pid. Looks into the branch only when some process works in it, so that asking
  // about many idle branches opens none of them.
  std::optional<pid_t> On(const std::string& branch) const {
    const std::string path = mountpoint_ + "/" + branch;
    const auto found = working_in_.find(path);
    if (found == working_in_.end()) return {};
    const std::optional<pid_t> pid = PostmasterPid(path);
    if (pid && found->second.contains(*pid)) return pid;
    // In a container the server knows its own pid by another number than we do.
    for (const pid_t worker : found->second) {
      if (ProcessName(worker) == "postgres") return worker;
    }
    return {};
  }

 private:
  std::string mountpoint_;
  std::map<std::string, std::set<pid_t>> working_in_;
};

}  // namespace velafs::store
