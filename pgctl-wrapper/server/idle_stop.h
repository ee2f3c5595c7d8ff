// Stopping a server that nobody uses: a small process beside each server that asks for it, which
// ends with the server. It looks for clients every tenth of the time, at most once a second, so one
// that comes and goes in between may pass unseen.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The content of RUN_DIR/idle-stop about the branch's present or last server.
struct IdleStop {
  std::chrono::seconds after{0};
  bool has_stopped = false;  // nobody was connected that long
  bool is_watched = false;   // its watcher lives

  bool operator==(const IdleStop&) const = default;
};

// From the file's text alone: without `is_watched`.
std::optional<IdleStop> ParseIdleStop(std::string_view text);
// Nothing when the server was not started so, or the file is not ours to read.
std::optional<IdleStop> ReadIdleStop(const RunDir& run_dir);

// Removes the file of an earlier server. Call it as the data's owner.
Status ClearIdleStop(const RunDir& run_dir);

// From now on the server on `data_dir`, which runs as that process, is stopped when no client has
// been connected to it for `after`. As the data's owner.
Status StopWhenIdle(const std::string& data_dir, pid_t server_pid, uint16_t port,
                    const RunDir& run_dir, const Owner& owner, std::chrono::seconds after);

}  // namespace velafs::pgctl
