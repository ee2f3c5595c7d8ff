// The device that a mount has for as long as it lives, by which it is told from all others. Later
// it may be another one's.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace velafs::fuse {

// The device of what is at the path, or open as `directory` if the path is empty; 0 if it cannot be
// told. Asks the mount for nothing.
inline dev_t DeviceAt(int directory, const char* path) {
  struct statx info {};
  constexpr int kFlags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (statx(directory, path, kFlags, 0, &info) != 0) return 0;
  return makedev(info.stx_dev_major, info.stx_dev_minor);
}
inline dev_t DeviceAt(const char* path) { return DeviceAt(AT_FDCWD, path); }

}  // namespace velafs::fuse
