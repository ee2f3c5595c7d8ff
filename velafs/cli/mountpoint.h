// The directory a store is mounted at.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::cli {

// The mountpoints of the store that the kernel lists, newest first. A mount outlives its daemon.
std::vector<std::string> MountpointsOf(const std::string& store_directory);
// An existing directory's path as the kernel names it: no links, no dots, no slash at the end. Call
// it before anything is mounted there: a mount would have to answer.
Result<std::string> RealMountpoint(const std::string& path);
// Refused for a directory inside the store, but for its own `default_mountpoint`, and for one
// inside a mount of velafs. Both as the kernel names them.
Status CheckMountpointPlace(const std::string& mountpoint, const std::string& store_directory,
                            const std::string& default_mountpoint);
// NotFound unless the store is mounted at that directory, however it is written.
Status CheckMountedAt(const std::string& path, const std::string& store_directory);
// True if the mountpoint's daemon has died: such a mount can only be detached.
bool IsDeadMountpoint(const std::string& path);
// Detaches it; through fusermount3 when not root.
Status DetachMountpoint(const std::string& path);
// Detaches all mounts that a dead daemon of the store has left, in use or not, and returns their
// mountpoints. The caller holds the store's lock.
Result<std::vector<std::string>> DetachDeadMounts(const std::string& store_directory);

}  // namespace velafs::cli
