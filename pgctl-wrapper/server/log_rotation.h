// Logs of servers, put aside while the servers run.
#pragma once

#include <cstdint>

#include "pgctl-wrapper/server/run_dir.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Empties the log; its last 64 MiB replace "postgres.log.1". The server that has the log open goes
// on with it; a line that it writes at that instant may be lost. The value is how many bytes the
// log had; 0 if there is none. As the data's owner: follows no link.
Result<uint64_t> RotateLog(const RunDir& run_dir);

}  // namespace velafs::pgctl
