// The owner of a file descriptor, by its short name.
#pragma once

#include "velafs/os/unique_fd.h"

namespace velafs::pgctl {

using os::UniqueFd;

}  // namespace velafs::pgctl
