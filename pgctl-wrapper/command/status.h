// `velapg status`.
#pragma once

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Of one branch: the exit status is 3 when its server is stopped. Without a branch: of all whose
// server runs.
Result<int> ShowStatus(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
