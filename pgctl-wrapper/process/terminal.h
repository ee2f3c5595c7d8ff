// A terminal of its own for a program that root runs as another user: that user can control the
// program, which would otherwise share the terminal of root's shell.
#pragma once

#include "pgctl-wrapper/process/process.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Runs the command in a session of its own, with a terminal of its own for each standard descriptor
// that is a terminal; input, output, the window's size and signals are passed on. Returns its exit
// status.
Result<int> RunOnOwnTerminal(Command command);

}  // namespace velafs::pgctl
