// The directory a store is mounted at.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::cli {

// Where the kernel has the store mounted, youngest first. A mount outlives its daemon.
std::vector<std::string> MountpointsOf(const std::string& store_directory);
// An existing directory as the kernel names it: no links, no dots, no slash at the end. To be asked
// before anything is mounted there, which would have to answer.
Result<std::string> RealMountpoint(const std::string& path);
// Refused for a directory inside the store, but for its own `default_mountpoint`, and for one
// inside a mount of velafs. Both as the kernel names them.
Status CheckMountpointPlace(const std::string& mountpoint, const std::string& store_directory,
                            const std::string& default_mountpoint);
// NotFound unless the store is mounted at that directory, however it is written.
Status CheckMountedAt(const std::string& path, const std::string& store_directory);
// True for a mountpoint whose daemon died: all that can be done with it is to detach it.
bool IsDeadMountpoint(const std::string& path);
// Detaches it; through fusermount3 when not root.
Status DetachMountpoint(const std::string& path);
// Detaches all that a dead daemon of the store has left, in use or not; where that was. To be
// called by who holds the store's lock.
Result<std::vector<std::string>> DetachDeadMounts(const std::string& store_directory);

}  // namespace velafs::cli
