// Finds the branches that a command line names.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Whether the arguments mean one branch, by its name.
bool IsOneBranch(const Arguments& arguments);

// The named branches in the order of the words, and those that match a pattern, or all if there are
// no words. Branches found by pattern must have all labels asked for, may have a server, and are
// the caller's to stop. NotFound for a name that no branch has.
Result<std::vector<Branch>> SelectBranches(Session& session, const Arguments& arguments);

// A server on the branch that has lost its mount. Does not open the branch.
std::optional<pid_t> FindOrphan(const Session& session, const Branch& branch);

}  // namespace velafs::pgctl
