// A file without a name.
#pragma once

#include <string>

#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {

// On the filesystem of `directory`; to read and write, by this process only. It is gone with its
// last descriptor. Fails with the system call's errno.
Result<UniqueFd> MakeAnonymousFile(const std::string& directory);

}  // namespace velafs::os
