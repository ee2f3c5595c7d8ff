// The end of a clone that nobody is to miss.
#pragma once

#include <string>

#include "pgctl-wrapper/server/postmaster.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Stops the branch's server, if one runs, or the rest of one whose mount has died.
Status StopServerOn(Session& session, const Branch& known, StopMode mode);

// By SIGKILL, in any state: the branch recovers at its next start.
Status KillServersOn(Session& session, Branch branch);

// Stops the branch's server at once and deletes the branch for good, with its place outside it. Cut
// off in the middle, it leaves a branch that can be thrown away again.
Status ThrowAway(Session& session, const Branch& branch);

}  // namespace velafs::pgctl
