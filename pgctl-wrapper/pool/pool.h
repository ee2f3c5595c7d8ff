// `velapg pool`, `take`, `renew` and `release`: clones that are started before they are wanted.
//
// No process keeps a pool filled. Whoever takes a clone out, or gives one back, has it done by a
// `velapg pool fill` in a session of its own; so does whoever finds none ready, by himself.
//
// A pool is its maker's: nobody else takes clones out of it, since what a server runs is its user's
// to say.
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
