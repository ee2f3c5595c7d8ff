// What velapg's commands do, and what they share. Those of `run` and of pools have their own
// headers.
#pragma once

#include <optional>

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/output.h"
#include "pgctl-wrapper/connect/connection.h"
#include "pgctl-wrapper/connect/server_address.h"
#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/server/postmaster.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A mounted branch and whose data it is; this process may act as that user.
struct Target {
  Branch branch;
  Owner owner;
};
Result<Target> OpenTarget(Session& session, const std::string& branch);

// A server, if there is one, and whom to be to deal with it.
struct Found {
  std::optional<RunningServer> server;
  std::optional<ServerAddress> address;  // of a server that velapg has started
  Owner owner;
};
// The server on the branch, or what the death of the branch's mount has left of one.
Result<Found> FindServerOf(Session& session, const Branch& branch);

// A server that was started, to be told to the user.
struct StartReport {
  pid_t pid = 0;
  nlohmann::json document;
  std::string text;
};
// How a server that runs is reached.
struct Reach {
  Network network = Network::kHost;
  bool tcp = false;
};
// Nothing if there is no server.
std::optional<Reach> ReachOf(const Found& found);
// Starts the branch's server as the arguments and the policies say. `before`: how that was reached
// which ran until now.
Result<StartReport> StartTarget(Session& session, const Target& target, const Arguments& arguments,
                                const std::optional<Reach>& before, const Output& output,
                                const StartControl& control = {});

// The program of that name, as psql, beside the branch's server program when there is one, else
// PATH's. `pgbin` as of FindServerPrograms.
std::string ClientProgramFor(const Target& target, const std::string& pgbin,
                             const std::string& name);

// Runs the command that the arguments name. The value is the exit status.
Result<int> RunCommand(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
