// `velapg stop`, for one branch or many.
#pragma once

#include <string>

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/output.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Stops the branch's server in the mode and within the time of the arguments, or at once if its
// mount is lost. On a terminal it shows what the server waits for. Failed, with the same text, if
// the time is over; the server then goes on stopping.
Status StopFound(Session& session, const Branch& branch, const Found& found,
                 const Arguments& arguments, const Output& output);

Result<int> StopBranches(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
