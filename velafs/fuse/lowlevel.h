// libfuse's low-level API, at the version this module is written for.
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

namespace velafs::fuse {

// How much of a file that is read in order the kernel may ask for ahead.
inline constexpr unsigned kReadaheadBytes = 1 << 20;

}  // namespace velafs::fuse
