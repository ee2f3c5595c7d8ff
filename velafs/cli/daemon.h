// The process that mounts a store and serves its API.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "velafs/base/status.h"
#include "velafs/cli/live_settings.h"
#include "velafs/fuse/mount.h"
#include "velafs/os/service_manager.h"

namespace velafs::cli {

struct DaemonOptions {
  std::string store_directory;  // absolute
  std::string mountpoint;  // absolute; empty for the store's default, which is made when missing
  // Also another one is, if this user alone may write to the directory above it.
  bool makes_mountpoint = false;
  bool log_to_stderr = false;                                   // else to the store's log file
  bool autostart = true;                                        // tell which servers are to start
  std::chrono::seconds stop_timeout = std::chrono::minutes(1);  // of servers, at the end
  fuse::MountOptions mount;
  LiveSettings live;
  std::function<Result<LiveSettings>()> reload;  // reads them again
};

// Gets {"mountpoint","pid","store"} once the mount is live, and the servers to start (autostart.h).
using OnLive = std::function<Status(const nlohmann::json& result)>;

// Mounts and serves until unmounted: by the verb `umount`, by umount(8), or by SIGTERM or SIGINT,
// which stop the servers and then unmount even while the mount is in use. SIGHUP reopens the log
// file and reads the configuration again. `manager` gets a report of each of these. Fails before
// `on_live` runs if the store cannot be mounted. Changes the process for good: its signal mask,
// umask, file limit, working directory and log. Must be called while it has no other thread.
Status RunDaemon(const DaemonOptions& options, const os::ServiceManager& manager,
                 const OnLive& on_live);

}  // namespace velafs::cli
