// A store's branches as a FUSE filesystem at one mountpoint.
#pragma once

#include <memory>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/mount_listener.h"

namespace velafs::store {
class MountedStore;
}  // namespace velafs::store

namespace velafs::fuse {

// The type of a mount in the kernel's list of mounts. Its source there is the store.
inline constexpr char kMountType[] = "fuse.velafs";
std::string MountSource(const std::string& store_directory);

struct MountOptions {
  bool idle_polling = true;  // if it is of use: fuse/idle_polling.h
  // The kernel sends each write to the daemon at once. Always so unless root mounts: only root's
  // daemon can empty the write cache before a freeze.
  bool write_through = false;
};

class Mount : public store::MountListener {
 public:
  // Mounts at `mountpoint`, an existing directory, and tells the store. The mount is live on
  // return, but requests wait until Serve runs. Uses fusermount3 if not root. Failures tell what to
  // do: no /dev/fuse, no such directory, something mounted there already. Starts a process that
  // will unmount, and no thread: until Serve, this process may give up privileges.
  static Result<std::unique_ptr<Mount>> Start(const store::MountedStore& store,
                                              const std::string& mountpoint,
                                              const MountOptions& options);
  // Unmounts lazily if still mounted.
  ~Mount() override = default;

  // Answers requests, on several threads, until unmounted; from Unmount, umount(8), or Stop.
  virtual Status Serve() = 0;

  // Unmounts; Refused while a server runs on a branch, wherever it is, or files or working
  // directories under the mountpoint are in use. Any thread.
  virtual Status Unmount() = 0;
  // Ends Serve, even if the mount is in use: open files answer ENOTCONN from then on. Any thread;
  // not async-signal-safe.
  virtual void Stop() = 0;
};

}  // namespace velafs::fuse
