// Starts a daemon where it outlives the job that asked for it: in the machine's service, or a
// scope.
#pragma once

#include <string>

#include "velafs/base/status.h"
#include "velafs/cli/command.h"

namespace velafs::cli {

// The unit that mounts the machine's own store.
inline constexpr char kService[] = "velafs.service";

// True if that service mounts this store and this user may start it.
bool IsOfService(const std::string& store_directory);
// Starts the service. Returns {"mountpoint","pid","store"}.
Result<nlohmann::json> StartService(const std::string& store_directory);

// Moves this process, which will be a daemon, out of the job's service. Warns on standard error if
// it cannot.
void LeaveService(const std::string& store_directory);

}  // namespace velafs::cli
