// `velapg reset`.
#pragma once

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Stops the branch's server, resets the branch, and starts the server again if it ran, even if the
// reset failed.
Result<int> ResetBranch(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
