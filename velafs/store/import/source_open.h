// Opening files of a source, which others may change at any moment.
#pragma once

#include <string>

#include "velafs/os/unique_fd.h"

namespace velafs::store {

// Opens an absolute path of any length on which no component, the last one included, may be a
// symbolic link: ELOOP. So the opened file is at the place where it was found, even if somebody
// swaps directories for links meanwhile. Leaves its atime unchanged if that is permitted, and does
// not wait for the other end of a FIFO. Invalid, with errno, if it fails.
os::UniqueFd OpenWithoutLinks(const std::string& path, int flags);

// Opens a path below an open directory, which is that very one whatever now has its name. Symbolic
// links are followed, but for those of /proc that lead past the rights on the way: ELOOP. As to its
// atime and to waiting, and when it fails, as above.
os::UniqueFd OpenBelow(int directory, const std::string& path, int flags);

}  // namespace velafs::store
