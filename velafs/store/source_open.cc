#include "velafs/store/source_open.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string_view>

namespace velafs::store {
namespace {

os::UniqueFd OpenStep(int directory, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_NO_SYMLINKS;
  long fd = 0;
  do {
    fd = syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how);
  } while (fd < 0 && errno == EINTR);
  return os::UniqueFd(static_cast<int>(fd));
}

// What the kernel takes in one call, ended before a slash.
size_t StepLength(std::string_view path) {
  if (path.size() < PATH_MAX) return path.size();
  const size_t slash = path.rfind('/', PATH_MAX - 1);
  return slash == std::string_view::npos || slash == 0 ? path.size() : slash;
}

}  // namespace

os::UniqueFd OpenWithoutLinks(const std::string& path, int flags) {
  std::string_view rest = path;
  os::UniqueFd directory;
  for (size_t length = StepLength(rest); length < rest.size(); length = StepLength(rest)) {
    directory = OpenStep(directory ? directory.get() : AT_FDCWD,
                         std::string(rest.substr(0, length)), O_PATH | O_DIRECTORY);
    if (!directory) return {};
    rest.remove_prefix(length + 1);
  }
  const int at = directory ? directory.get() : AT_FDCWD;
  if ((flags & O_PATH) != 0) return OpenStep(at, std::string(rest), flags);
  flags |= O_NONBLOCK | O_NOCTTY;
  os::UniqueFd fd = OpenStep(at, std::string(rest), flags | O_NOATIME);
  // Only a file's owner may read it without leaving a trace.
  if (!fd && errno == EPERM) fd = OpenStep(at, std::string(rest), flags);
  return fd;
}

}  // namespace velafs::store
