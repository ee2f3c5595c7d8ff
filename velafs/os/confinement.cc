#include "velafs/os/confinement.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>

namespace velafs::os {
namespace {

constexpr uid_t kNobody = 65534;
constexpr rlim_t kMaxMemoryBytes = rlim_t{8} << 30;

struct FreeFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

// Without mmap and mprotect, which must not make anything executable.
constexpr int kAllowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

Status SetLimit(__rlimit_resource_t resource, rlim_t limit) {
  const rlimit value{limit, limit};
  if (setrlimit(resource, &value) == 0) return {};
  return SystemError(errno, "cannot limit what is used to read an archive");
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

Status FilterSystemCalls() {
  const std::unique_ptr<void, FreeFilter> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return {};
  int failed = 0;
  for (const int call : kAllowed) {
    if (failed == 0) failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  }
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    if (failed != 0) break;
    failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  }
  if (failed != 0) return SystemError(-failed, "cannot make a filter of system calls");
  // What a kernel without filters answers is no failure.
  const int loaded = seccomp_load(filter.get());
  if (loaded == 0 || loaded == -EINVAL || loaded == -ENOSYS || loaded == -ECANCELED) return {};
  return SystemError(-loaded, "cannot set a filter of system calls");
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
#ifndef __SANITIZE_ADDRESS__
#ifndef __SANITIZE_THREAD__
  VELAFS_TRY(SetLimit(RLIMIT_AS, kMaxMemoryBytes));
#endif
#endif
  return FilterSystemCalls();
}

}  // namespace velafs::os
