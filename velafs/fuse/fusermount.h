// fusermount3, which mounts and unmounts for those who are not root.
#pragma once

#include <string>
#include <vector>

namespace velafs::fuse {

// Runs it with these arguments, and waits for its end. True if it succeeded.
bool RunFusermount(std::vector<std::string> arguments);

}  // namespace velafs::fuse
