// Directories that are thrown away with all in them.
#pragma once

#include <string>

namespace velafs::cli {

// Removes `name` in the directory, as far as that is possible: through no symbolic link, and of our
// own also what we may not look into. Does nothing when it is not there.
void RemoveTree(int directory_fd, const std::string& name);

}  // namespace velafs::cli
