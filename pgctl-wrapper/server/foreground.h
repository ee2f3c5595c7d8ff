// `velapg start --foreground`: a server for a service manager, which lives as long as this process.
#pragma once

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Starts the branch's server, tells the service manager that $NOTIFY_SOCKET names, and returns when
// the server has ended: 0 if it was told to stop. SIGTERM and SIGINT stop it fast, SIGQUIT
// at once, SIGHUP has it read its configuration again. The server does not outlive this process.
// Fails, with the last lines of the server's log as hint, if the server ends otherwise.
Result<int> StartInForeground(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
