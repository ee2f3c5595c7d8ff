// What each of velapg's commands does. `velapg run` has its own header.
#pragma once

#include "pgctl-wrapper/arguments.h"
#include "pgctl-wrapper/connection.h"
#include "pgctl-wrapper/output.h"
#include "pgctl-wrapper/owner.h"
#include "pgctl-wrapper/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A mounted branch and whose data it is; this process may act as that user.
struct Target {
  Branch branch;
  Owner owner;
};
Result<Target> OpenTarget(Session& session, const std::string& branch);

// How to reach a server as the role and in the database that the arguments, or the owner, name.
Connection ConnectionTo(const std::string& socket_dir, int port, const Owner& owner,
                        const Arguments& arguments);

// Runs the command that the arguments name. The value is the exit status.
Result<int> RunCommand(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
