// Opening what is in a source, which others may change at any moment.
#pragma once

#include <string>

#include "velafs/os/unique_fd.h"

namespace velafs::store {

// Opens an absolute path of any length on which no component, the last one included, may be a
// symbolic link: ELOOP. So what is opened is where it was found, whoever swaps directories for
// links meanwhile. Without a trace in its atime where that is permitted, and without waiting for
// the other end of a FIFO. Invalid, with errno, when it fails.
os::UniqueFd OpenWithoutLinks(const std::string& path, int flags);

}  // namespace velafs::store
