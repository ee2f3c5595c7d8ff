// Removing directories with everything in them, though other users made it and may change it.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs::os {

// Removes everything in an open directory. Follows no symbolic link. Neither stack nor descriptors
// grow with the depth. Enters directories of this user's that lack the permissions for it. Goes on
// after a failure, and returns the first one. `path` is for messages.
Status EmptyDirectory(int directory_fd, const std::string& path);

// Removes `name`, of any type, in an open directory (or AT_FDCWD) in the same way. Success if it is
// not there.
Status RemoveTree(int directory_fd, const std::string& name);

}  // namespace velafs::os
