// Where a branch's server finds its configuration: in the branch, or in files that velapg makes in
// the branch's run directory.
#pragma once

#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server_command.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The branch's own postgresql.conf, or a generated one if it has none. velapg supplies the access
// files, so that nothing in the branch's own can lock out a user who may act as the data's owner;
// with `as_is` the branch's own are used, if it has some and no other user runs the server. To be
// called as the data's owner. Refused if a file in use is not a regular file.
Result<ServerPlaces> PlaceConfiguration(const ServerHome& home, const Branch& branch,
                                        const RunDir& run_dir, bool as_is);

}  // namespace velafs::pgctl
