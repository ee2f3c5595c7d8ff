// Where a daemon lives: in the machine's service, or where it outlives the job that started it.
#pragma once

#include <string>

#include "velafs/base/status.h"
#include "velafs/cli/command.h"

namespace velafs::cli {

// The unit that mounts the machine's own store.
inline constexpr char kService[] = "velafs.service";

// Whether that service is there to mount this store, and this user may start it.
bool IsOfService(const std::string& store_directory);
// Has the service mount it. Returns {"mountpoint","pid","store"}.
Result<nlohmann::json> StartService(const std::string& store_directory);

// Moves this process, a daemon to be, out of the service of the job that started it. Says on
// standard error if that cannot be done.
void LeaveService(const std::string& store_directory);

}  // namespace velafs::cli
