// Settings of velapg's own sessions on a server.
#pragma once

#include <string>

#include "pgctl-wrapper/connect/connection.h"
#include "pgctl-wrapper/process/process.h"

namespace velafs::pgctl {

// PGOPTIONS of such a session. They override settings of the cluster, its roles and its databases:
// the session has no time limits of its own, and acts as the role that logs in. `version` is the
// server's, which refuses options unknown to it.
std::string OwnSessionOptions(int version);

// WithConnection for such a session: none of the caller's own wishes for sessions is left.
Environment ForOwnSession(Environment environment, const Connection& connection, int version);

}  // namespace velafs::pgctl
