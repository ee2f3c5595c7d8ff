// `velapg stop`: of one branch, or of many.
#pragma once

#include <string>

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/output.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Stops the server that was found on the branch, in the mode and within the time that the arguments
// say; one that has lost its mount at once. Shows on a terminal what it waits for. Failed, saying
// that too, when the time is over: the server goes on stopping.
Status StopFound(Session& session, const Branch& branch, const Found& found,
                 const Arguments& arguments, const Output& output);

Result<int> StopBranches(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
