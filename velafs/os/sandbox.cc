#include "velafs/os/sandbox.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>

#include "velafs/os/capabilities.h"
#include "velafs/os/system_calls.h"

namespace velafs::os {
namespace {

struct Capability {
  int number;
  const char* name;
};

// All that a daemon of root's needs, and for what. It does not have these:
//   SYS_ADMIN     to unmount, which a process of its own does (os/helper.h);
//   SYS_RESOURCE  to use more than is root's anyhow, of disks and files.
constexpr std::array kNeeded = {
    // A branch's user is given the directory of its server (store/ports.cc).
    Capability{CAP_CHOWN, "CHOWN"},
    // An import by root reads a cluster that is another user's; that directory is removed again,
    // with whatever its user has put there.
    Capability{CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
    // Also files of the user's in a sticky directory there; and reading a cluster leaves no trace
    // in its files' times (O_NOATIME).
    Capability{CAP_FOWNER, "FOWNER"},
    // A server is ended when its branch's time has passed, and when the daemon ends; the filter of
    // system calls leaves just the signals for that.
    Capability{CAP_KILL, "KILL"},
    // An import reads with the rights of whoever asks for it (os/acting_as.h).
    Capability{CAP_SETGID, "SETGID"},
    Capability{CAP_SETUID, "SETUID"},
    // Whether a process is a server on a branch is told by its working directory and program, which
    // only its own user may see otherwise (store/process.h).
    Capability{CAP_SYS_PTRACE, "SYS_PTRACE"},
};

std::optional<Sandbox>& Current() {
  static std::optional<Sandbox> current;
  return current;
}

}  // namespace

Result<Sandbox> EnterSandbox() {
  std::array<int, kNeeded.size()> kept;
  for (size_t i = 0; i < kNeeded.size(); ++i) kept[i] = kNeeded[i].number;
  VELAFS_ASSIGN(const uint64_t left, KeepOnlyCapabilities(kept));
  Sandbox sandbox;
  for (const Capability& one : kNeeded) {
    if ((left >> one.number & 1) != 0) sandbox.capabilities.emplace_back(one.name);
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return SystemError(errno, "cannot give up the rights of other programs");
  }
  sandbox.no_new_privileges = true;
  const Status filtered = FilterSystemCalls();
  sandbox.is_filtered = filtered.ok();
  sandbox.missing = filtered.message();
  Current() = sandbox;
  return sandbox;
}

const std::optional<Sandbox>& CurrentSandbox() { return Current(); }

void HideMemory() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace velafs::os
