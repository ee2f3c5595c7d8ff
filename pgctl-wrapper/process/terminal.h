// A terminal of its own for a program that root runs as another user: whoever is that user can
// reach into the program, and its terminal would be root's shell's.
#pragma once

#include "pgctl-wrapper/process/process.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Runs the command in a session of its own, with a terminal of its own in the place of each
// standard descriptor that is one; input, output, the window's size and signals are passed on.
// Returns its exit status.
Result<int> RunOnOwnTerminal(Command command);

}  // namespace velafs::pgctl
