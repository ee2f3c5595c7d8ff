#include "velafs/cli/mountpoint.h"

#include <mntent.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>

#include "velafs/fuse/mount.h"

namespace velafs::cli {

namespace {

struct MountEntry {
  std::string source;
  std::string mountpoint;
};

// All of velafs, of whatever store, oldest first.
std::vector<MountEntry> AllMounts() {
  std::vector<MountEntry> found;
  const std::unique_ptr<FILE, int (*)(FILE*)> mounts(setmntent("/proc/self/mounts", "re"),
                                                     endmntent);
  if (mounts == nullptr) return found;
  mntent entry{};
  std::array<char, 16 * 1024> buffer;
  while (getmntent_r(mounts.get(), &entry, buffer.data(), buffer.size()) != nullptr) {
    if (std::string_view(entry.mnt_type) == fuse::kMountType) {
      found.push_back({entry.mnt_fsname, entry.mnt_dir});
    }
  }
  return found;
}

}  // namespace

std::vector<std::string> MountpointsOf(const std::string& store_directory) {
  std::vector<std::string> found;
  const std::string source = fuse::MountSource(store_directory);
  for (MountEntry& mount : AllMounts()) {
    if (mount.source == source) found.push_back(std::move(mount.mountpoint));
  }
  std::reverse(found.begin(), found.end());
  return found;
}

Status CheckMountpointPlace(const std::string& mountpoint, const std::string& store_directory,
                            const std::string& default_mountpoint) {
  const std::string store = fuse::MountSource(store_directory);
  if (mountpoint == default_mountpoint) return {};
  if (mountpoint == store || mountpoint.starts_with(store + "/")) {
    return Refused("mountpoint \"" + mountpoint + "\" is inside the store",
                   "name a directory elsewhere, or none for \"" + default_mountpoint + "\"");
  }
  for (const MountEntry& mount : AllMounts()) {
    if (!mountpoint.starts_with(mount.mountpoint + "/")) continue;
    return Refused(
        "mountpoint \"" + mountpoint + "\" is inside the mount of store \"" + mount.source + "\"",
        "name a directory elsewhere");
  }
  return {};
}

Status CheckMountedAt(const std::string& path, const std::string& store_directory) {
  const std::vector<std::string> mountpoints = MountpointsOf(store_directory);
  const Result<std::string> real = RealMountpoint(path);
  // That of a daemon that died has no other name than the one that is written.
  std::string name =
      real.ok() ? *real : std::filesystem::absolute(path).lexically_normal().string();
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  if (std::ranges::find(mountpoints, name) != mountpoints.end()) return {};
  return NotFound("store \"" + store_directory + "\" is not mounted at \"" + path + "\"",
                  mountpoints.empty() ? "" : "it is mounted at \"" + mountpoints[0] + "\"");
}

Result<std::string> RealMountpoint(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         std::free);
  if (real == nullptr) return SystemError(errno, "cannot use \"" + path + "\" as mountpoint");
  return std::string(real.get());
}

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

Result<std::vector<std::string>> DetachDeadMounts(const std::string& store_directory) {
  std::vector<std::string> detached;
  for (const std::string& mountpoint : MountpointsOf(store_directory)) {
    if (!IsDeadMountpoint(mountpoint)) continue;
    VELAFS_TRY(DetachMountpoint(mountpoint));
    detached.push_back(mountpoint);
  }
  return detached;
}

}  // namespace velafs::cli
