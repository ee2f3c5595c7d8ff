// A branch's running server, as the store, its postmaster.pid and the kernel tell of it. Everything
// here is to be called while acting as the data's owner, who may see and signal the server.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgctl-wrapper/connect/network.h"
#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The trusted lines of postmaster.pid, which the server writes during its start. Everybody who may
// write to the branch could name another host and port there: see server_address.h.
struct PostmasterFile {
  pid_t pid = 0;
  int64_t started_at = 0;  // seconds since 1970; 0 if that cannot be
  std::string listens_on;  // its first TCP address; empty when it has none
  std::string status;  // "starting", "ready", "standby", "stopping"; empty while not yet written

  // It takes connections, or it is a standby that is not meant to.
  bool IsUp() const { return status == "ready" || status == "standby"; }
};

// Nothing if the first line is not a pid.
std::optional<PostmasterFile> ParsePostmasterFile(std::string_view content);
// Nothing when there is no such file.
Result<std::optional<PostmasterFile>> ReadPostmasterFile(const std::string& data_dir);

struct RunningServer {
  PostmasterFile file;
  UniqueFd pidfd;
  bool lost = false;  // its mount is gone: it can neither read nor write
};

// The server on this data directory. `server_pid` is the store's word for which process that is,
// and nothing else is believed: postmaster.pid may name another, in a container for one. With no
// such process: the one that postmaster.pid names, if it did work there until the daemon died.
Result<std::optional<RunningServer>> FindServer(const std::string& data_dir,
                                                std::optional<pid_t> server_pid);

// The server whose socket's lock file lies in `socket_dir`, if it has lost its mount: it neither
// serves nor ends by itself.
std::optional<RunningServer> FindLostServer(const std::string& socket_dir);

// How far a server reaches, as seen from this process's network. Isolated when that cannot be seen.
Network NetworkOf(const PostmasterFile& server);

// Whether it was started with --tcp, and takes connections on 127.0.0.1.
bool ListensToTcp(const PostmasterFile& server);

enum class StopMode { kSmart, kFast, kImmediate };
std::optional<StopMode> ParseStopMode(std::string_view word);

// Tells the server to stop. One that has ended is no failure.
Status SignalServer(const RunningServer& server, StopMode mode);
// Signals the server and waits for its end. Fails if that takes longer than `timeout`.
Status StopServer(const RunningServer& server, StopMode mode, std::chrono::seconds timeout);

}  // namespace velafs::pgctl
