// Which PostgreSQL servers run on a store's branches. A server marks its data directory with
// postmaster.pid, and the mount sees which process makes that file: also behind a bind mount, in a
// container or as another user, since the kernel gives its id in this process's PID namespace.
// While it, or a backend that outlived it, lives, nobody else can remove or replace the file.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/store/process.h"

namespace velafs::store {

// A directory of a branch's life, for which a server may make a postmaster.pid.
struct ServerPlace {
  InstanceId instance;
  InodeNumber directory;

  auto operator<=>(const ServerPlace&) const = default;
};

// Thread-safe.
class ServerRegistry {
 public:
  // `process` is about to make the place's postmaster.pid. EBUSY while another server lives
  // anywhere in that life of the branch. EPERM if this process's PID namespace does not know
  // `process`: its end could not be seen. `shown_ino` is the directory's number under the mount: a
  // server works there, and a process that is known to work elsewhere is not a server (it may copy
  // files).
  Status Claim(const ServerPlace& place, uint64_t shown_ino, pid_t process);
  // `process` has not made it after all, or has removed it.
  void Release(const ServerPlace& place, pid_t process);
  // Whether `process` may remove or replace the file: EBUSY while a server lives that is another.
  Status CheckMayRemove(const ServerPlace& place, pid_t process);

  struct Process {
    InstanceId instance;
    pid_t pid = 0;
    bool is_postmaster = true;  // false: a backend that outlived it
  };
  // A live process of the server on that branch, its postmaster if that lives.
  std::optional<Process> On(InstanceId instance);
  std::optional<Process> Any();
  // The branches' lives with a live process of a server.
  std::vector<InstanceId> Lives();

  // Ends the servers of these lives, all at once: by a fast shutdown, and by an immediate one if
  // that takes longer than `times.fast`. Returns when all have ended, at the latest after both
  // times. Only a process that made a postmaster.pid is signalled, by its handle, and none of
  // root's: PostgreSQL does not run as root.
  struct StopTimes {
    std::chrono::seconds fast{10};
    std::chrono::seconds immediate{10};
  };
  void Stop(const std::vector<InstanceId>& lives, const StopTimes& times);

 private:
  struct Server {
    ProcessHandle postmaster;
    // The properties that its backends share with it, as far as known.
    std::optional<FileIdentity> program;
    std::optional<FileIdentity> directory;
  };
  // For a server: forgotten when none of its processes is left, since no new one can appear.
  std::optional<Process> LiveProcess(const ServerPlace& place) REQUIRES(mutex_);
  std::optional<Process> LiveProcessOf(InstanceId instance) REQUIRES(mutex_);
  std::vector<ProcessHandle> PostmastersOf(const std::vector<InstanceId>& lives);

  Mutex mutex_;
  std::map<ServerPlace, Server> servers_ GUARDED_BY(mutex_);
};

}  // namespace velafs::store
