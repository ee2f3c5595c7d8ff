// The commands of velapg, and their common parts. `run` and pools have headers of their own.
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

// A mounted branch and the owner of its data; this process may act as that user.
struct Target {
  Branch branch;
  Owner owner;
};
Result<Target> OpenTarget(Session& session, const std::string& branch);

// A server, if there is one, and the user to act as for it.
struct Found {
  std::optional<RunningServer> server;
  std::optional<ServerAddress> address;  // of a server that velapg has started
  Owner owner;
};
// The server on the branch, also one whose mount has died.
Result<Found> FindServerOf(Session& session, const Branch& branch);

// A started server, as it is reported to the user.
struct StartReport {
  pid_t pid = 0;
  nlohmann::json document;
  std::string text;
};
// How clients reach a running server.
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

// The client program (psql) beside the branch's server program if there is one, else from $PATH.
// `pgbin`: see FindServerPrograms.
std::string ClientProgramFor(const Target& target, const std::string& pgbin,
                             const std::string& name);

// Runs the command that the arguments name. The value is the exit status.
Result<int> RunCommand(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
