// Starting a branch's PostgreSQL server.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct StartOptions {
  std::string pgbin;
  std::optional<uint16_t> port;
  std::chrono::seconds timeout = std::chrono::minutes(10);
  std::optional<std::chrono::seconds> idle_stop;  // 0: never
  std::optional<Network> network;                 // isolated unless given
  bool standby = false;                           // keep standby.signal and recovery.signal
  bool recover = false;  // recover with WAL from the archive that restore_command reads
  OverrideChoice overrides;
  std::optional<bool> tcp;  // the user's choice; `overrides.tcp` is in force
  std::string tcp_role;     // who gets a password for TCP; empty: the default role
};

struct StartedServer {
  pid_t pid = 0;
  uint16_t port = 0;
  std::string socket_dir;
  Network network = Network::kHost;
  bool tcp = false;  // it listens on 127.0.0.1
  std::string
      tcp_password;  // of the client that connected there; empty if this host cannot connect
  std::vector<Override> neutralised;
  std::vector<std::string> warnings;
};

// How a start depends on the process that asks for it.
struct StartControl {
  // Asked now and then while the server is not yet ready; true stops it and gives the start up.
  std::function<bool()> is_cancelled = [] { return false; };
  bool dies_with_parent = false;  // the server shuts down at once when this process ends
  // This process becomes the server; StartServer goes on in another process without a parent.
  bool takes_over = false;
};

// Starts the server of a mounted branch and returns once it takes connections. Refused if one runs
// already. If the server ends before it is ready, the failure's hint has its last log lines. After
// a timeout the server goes on starting.
Result<StartedServer> StartServer(Session& session, const Branch& found, const Owner& owner,
                                  const StartOptions& options, const StartControl& control = {});

}  // namespace velafs::pgctl
