// A pipe between two processes.
#pragma once

#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct Pipe {
  UniqueFd out;  // the end to read from
  UniqueFd in;
};
// Programs that are executed do not inherit its ends.
Result<Pipe> MakePipe();

}  // namespace velafs::pgctl
