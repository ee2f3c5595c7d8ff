#include "velafs/os/anonymous_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

namespace velafs::os {

Result<UniqueFd> MakeAnonymousFile(const std::string& directory) {
  UniqueFd file(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) return file;
  // Not every filesystem can do that.
  std::string path = directory + "/.unnamed-XXXXXX";
  file.Reset(mkostemp(path.data(), O_CLOEXEC));
  if (!file) return SystemError(errno, "cannot make a file in \"" + directory + "\"");
  unlink(path.c_str());
  return file;
}

}  // namespace velafs::os
