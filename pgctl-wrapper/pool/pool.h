// `velapg pool`, `take`, `renew` and `release`: clones that are started before they are needed.
//
// No process keeps a pool filled. Taking a clone out, or giving one back, starts a `velapg pool
// fill` in a session of its own; a process that finds no ready clone fills the pool itself.
//
// A pool belongs to the user who made it. Nobody else takes clones out of it, since that user
// decides which programs its servers run.
#pragma once

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/output.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Each runs the command of that name. The value is the exit status.
Result<int> MakePool(const Arguments& arguments, const Output& output);
Result<int> ListPools(const Arguments& arguments, const Output& output);
Result<int> RefreshPool(const Arguments& arguments, const Output& output);
Result<int> StopPool(const Arguments& arguments, const Output& output);
Result<int> FillPoolNow(const Arguments& arguments, const Output& output);
Result<int> Take(const Arguments& arguments, const Output& output);
Result<int> Renew(const Arguments& arguments, const Output& output);
Result<int> Release(const Arguments& arguments, const Output& output);

}  // namespace velafs::pgctl
