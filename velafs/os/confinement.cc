#include "velafs/os/confinement.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>

#include "velafs/os/system_call_filter.h"

namespace velafs::os {
namespace {

constexpr uid_t kNobody = 65534;
constexpr rlim_t kMaxMemoryBytes = rlim_t{8} << 30;

// mmap and mprotect, too, as long as they make nothing executable.
constexpr std::array kAllowed = {
    "brk",     "clock_gettime", "close",           "exit",           "exit_group",   "fstat",
    "futex",   "getpid",        "getrandom",       "gettid",         "gettimeofday", "lseek",
    "madvise", "mremap",        "munmap",          "newfstatat",     "poll",         "ppoll",
    "read",    "readv",         "restart_syscall", "rt_sigprocmask", "rt_sigreturn", "write",
    "writev",
};

Status SetLimit(__rlimit_resource_t resource, rlim_t limit) {
  const rlimit value{limit, limit};
  if (setrlimit(resource, &value) == 0) return {};
  return SystemError(errno, "cannot limit the resources for reading an archive");
}

Status LeaveRoot() {
  if (geteuid() != 0) return {};
  // Where there are no other users, as in some containers, the filter has to do.
  if (setgroups(0, nullptr) != 0 && errno != EPERM) {
    return SystemError(errno, "cannot leave root's groups");
  }
  const bool left =
      setresgid(kNobody, kNobody, kNobody) == 0 && setresuid(kNobody, kNobody, kNobody) == 0;
  return left || errno == EPERM || errno == EINVAL ? Status()
                                                   : SystemError(errno, "cannot be nobody");
}

// Where the kernel has no filters, what else is given up has to do.
void AllowFewSystemCalls() {
  SystemCallFilter filter(EPERM);
  filter.Allow(kAllowed);
  if (kIsSanitized) filter.Allow("sigaltstack", {});
  for (const char* const call : {"mmap", "mprotect"})
    filter.Allow(call, {HasBits(2, PROT_EXEC, 0)});
  static_cast<void>(filter.Load());
}

}  // namespace

Status ConfineToOpenFiles() {
  VELAFS_TRY(LeaveRoot());
  // After that: a change of user takes it back.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return SystemError(errno, "cannot give up new rights");
  }
  prctl(PR_SET_DUMPABLE, 0);
  VELAFS_TRY(SetLimit(RLIMIT_CORE, 0));
  VELAFS_TRY(SetLimit(RLIMIT_NOFILE, 0));
  if (!kIsSanitized) VELAFS_TRY(SetLimit(RLIMIT_AS, kMaxMemoryBytes));
  AllowFewSystemCalls();
  return {};
}

}  // namespace velafs::os
