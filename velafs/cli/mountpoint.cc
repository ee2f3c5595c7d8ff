#include "velafs/cli/mountpoint.h"

#include <spawn.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace velafs::cli {

bool IsDeadMountpoint(const std::string& path) {
  // Unlike stat, never answered from the kernel's caches. ECONNABORTED: it dies just now.
  struct statfs info;
  return statfs(path.c_str(), &info) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

Status DetachMountpoint(const std::string& path) {
  const std::string what = "cannot detach the dead mountpoint \"" + path + "\"";
  if (geteuid() == 0) {
    return umount2(path.c_str(), MNT_DETACH) == 0 ? Status() : SystemError(errno, what);
  }
  std::string program = "fusermount3", unmount = "-u", lazily = "-z", separator = "--",
              target = path;
  std::array<char*, 6> arguments = {program.data(),   unmount.data(), lazily.data(),
                                    separator.data(), target.data(),  nullptr};
  pid_t pid = 0;
  const int error =
      posix_spawnp(&pid, program.c_str(), nullptr, nullptr, arguments.data(), environ);
  if (error != 0) return SystemError(error, what + ": cannot run fusermount3");
  int wait_status = 0;
  while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) return {};
  return Failed(what + ": fusermount3 failed");
}

}  // namespace velafs::cli
