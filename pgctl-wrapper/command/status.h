// `velapg status`.
#pragma once

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// For one branch: exit status 3 if its server is stopped. Without a branch: all running servers.
Result<int> ShowStatus(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
