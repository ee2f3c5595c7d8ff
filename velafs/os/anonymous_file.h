// A file without a name.
#pragma once

#include <string>

#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {

// Makes a file on the filesystem of `directory` for this process to read and write. It goes with
// its last descriptor. Fails with the system call's errno.
Result<UniqueFd> MakeAnonymousFile(const std::string& directory);

}  // namespace velafs::os
