// `velapg run`: a command on a throw-away clone.
#pragma once

#include <functional>
#include <string>

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A name for a clone of `source`, a branch or bookmark, that no branch has: "USE-SOURCE-RANDOM". At
// most 58 characters for a `use` of 4.
std::string CloneName(const std::string& use, const std::string& source);

// Clones, starts, runs the command as the caller, stops, deletes. The value is the exit status: the
// command's own, 128 + N if signal N ended it or came before it was started, 127 if there is no
// such command and 126 if it cannot be executed.
//
// With several workers, each does all that with a clone of its own, at the same time; the clones
// are of one and the same state. The value is then that of the worker that failed first, or 0.
Result<int> RunOnClone(const Arguments& arguments, const Output& output);

// The work on the server of a throw-away clone. The value is an exit status.
using UseServer = std::function<Result<int>(const Target& target, const Connection& connection)>;
// Clones `arguments.branch`, starts a server, has `use` do its work, stops, deletes.
Result<int> OnThrowAwayClone(const Arguments& arguments, const Output& output,
                             const UseServer& use);

}  // namespace velafs::pgctl
