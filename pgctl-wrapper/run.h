// `velapg run`: a command on a throw-away clone.
#pragma once

#include <string>

#include "pgctl-wrapper/arguments.h"
#include "pgctl-wrapper/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A name for a clone of `source`, a branch or bookmark, that no branch has: "run-SOURCE-RANDOM".
std::string RunCloneName(const std::string& source);

// Clones, starts, runs the command as the caller, stops, deletes. The value is the exit status: the
// command's own, 128 + N when signal N ended it or came before it was started, 127 when there is no
// such command and 126 when it cannot be executed.
Result<int> RunOnClone(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
