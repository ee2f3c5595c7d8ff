#include "pgctl-wrapper/process/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace velafs::pgctl {

Result<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace velafs::pgctl
