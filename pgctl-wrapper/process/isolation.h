// Isolation for the programs of a branch: namespaces with no network but a loopback, and with only
// those files of the host that programs need, and the branch's own.
//
// A network namespace does not close Unix sockets that have a path: everybody who sees the path can
// connect. No list of such paths would be complete: servers make them anywhere, at any time, in
// other namespaces, too. So the program gets a root directory of its own, in which only permitted
// directories are mounted. The user namespace that comes with it also keeps it from looking into
// other processes of the same user, through whose /proc/PID/root it would see the host's
// directories again.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct Isolation {
  // A file that the program has open in the host's mount namespace, so that the filesystem it is on
  // is in use there, too, and is not unmounted. Not a directory: that would be a way out.
  std::string pinned_file;
  // Where the new root directory is put together, unseen by others: any directory.
  std::string stage_dir;
  // Absolute, each before those inside it: shown with all that is in them.
  std::vector<std::string> shown_dirs;
};

// Shows the directories of the system that programs need, and `own_dirs`; /tmp, /run and /dev/shm
// are new and empty. Missing directories are skipped.
Isolation PlanIsolation(const std::string& stage_dir, const std::vector<std::string>& own_dirs);

// For a child about to exec: isolates this process, as `owner`, with no capability left and none to
// gain. The result is the open pinned file. A failure names the step; the process must then end.
Result<UniqueFd> EnterIsolation(const Isolation& isolation, const Owner& owner);

}  // namespace velafs::pgctl
