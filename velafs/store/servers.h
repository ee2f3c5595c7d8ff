// Which PostgreSQL servers run where, by postmaster.pid and /proc.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>

namespace velafs::store {

// The pid in `directory`/postmaster.pid; empty when there is none.
std::optional<pid_t> PostmasterPid(const std::string& directory);

// As in /proc/PID/comm; empty when the process is gone.
std::string ProcessName(pid_t pid);

// The server that runs on the data directory. In doubt there is one: a live process named in
// postmaster.pid whose working directory cannot be told counts.
std::optional<pid_t> ServerRunningOn(const std::string& directory);

// The working directories of this host's processes, as the kernel shows them, of those that lie
// under `directory`. Asks no filesystem: safe for a process that serves the one at `directory`.
std::map<std::string, std::set<pid_t>> WorkingDirectoriesUnder(const std::string& directory);

}  // namespace velafs::store
