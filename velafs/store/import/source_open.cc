#include "velafs/store/import/source_open.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <string_view>

namespace velafs::store {
namespace {

os::UniqueFd OpenStep(int directory, const std::string& path, int flags, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve;
  long fd = 0;
  do {
    fd = syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how);
  } while (fd < 0 && errno == EINTR);
  return os::UniqueFd(static_cast<int>(fd));
}

os::UniqueFd OpenToRead(int directory, const std::string& path, int flags, uint64_t resolve) {
  flags |= O_NONBLOCK | O_NOCTTY;
  os::UniqueFd fd = OpenStep(directory, path, flags | O_NOATIME, resolve);
  // Only a file's owner may read it without leaving a trace.
  if (!fd && errno == EPERM) fd = OpenStep(directory, path, flags, resolve);
  return fd;
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
    directory =
        OpenStep(directory ? directory.get() : AT_FDCWD, std::string(rest.substr(0, length)),
                 O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (!directory) return {};
    rest.remove_prefix(length + 1);
  }
  const int at = directory ? directory.get() : AT_FDCWD;
  if ((flags & O_PATH) != 0) return OpenStep(at, std::string(rest), flags, RESOLVE_NO_SYMLINKS);
  return OpenToRead(at, std::string(rest), flags, RESOLVE_NO_SYMLINKS);
}

os::UniqueFd OpenBelow(int directory, const std::string& path, int flags) {
  return OpenToRead(directory, path, flags, RESOLVE_NO_MAGICLINKS);
}

}  // namespace velafs::store
