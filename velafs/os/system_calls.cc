#include "velafs/os/system_calls.h"

#include <linux/fs.h>
#include <linux/fuse.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <initializer_list>
#include <string>

namespace velafs::os {
namespace {

// Sanitizers' runtimes look into the process they are in, by means that others must not have.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kIsSanitized = true;
#else
constexpr bool kIsSanitized = false;
#endif
#else
constexpr bool kIsSanitized = false;
#endif

// Names, since what the C library uses for a function differs with its version and the processor;
// those that this machine's libseccomp does not know are left out.
constexpr std::array kFiles = {
    "access",      "chdir",
    "chmod",       "close",
    "close_range", "copy_file_range",
    "dup",         "dup2",
    "dup3",        "faccessat",
    "faccessat2",  "fadvise64",
    "fallocate",   "fchmod",
    "fchmodat",    "fchmodat2",
    "fchown",      "fchownat",
    "fcntl",       "fdatasync",
    "flock",       "fstat",
    "fstatfs",     "fsync",
    "ftruncate",   "getcwd",
    "getdents64",  "lchown",
    "link",        "linkat",
    "lseek",       "lstat",
    "mkdir",       "mkdirat",
    "newfstatat",  "open",
    "openat",      "openat2",
    "pipe2",       "pread64",
    "preadv",      "preadv2",
    "pwrite64",    "pwritev",
    "pwritev2",    "read",
    "readlink",    "readlinkat",
    "readv",       "rename",
    "renameat",    "renameat2",
    "rmdir",       "sendfile",
    "stat",        "statfs",
    "statx",       "sync_file_range",
    "truncate",    "umask",
    "unlink",      "unlinkat",
    "utimensat",   "write",
    "writev",
};
constexpr std::array kMemoryAndThreads = {
    "brk",
    "exit",
    "exit_group",
    "futex",
    "getcpu",
    "getpid",
    "getppid",
    "getrandom",
    "getrusage",
    "gettid",
    "madvise",
    "membarrier",
    "mremap",
    "munmap",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "sysinfo",
    "uname",
    "wait4",
    "waitid",
};
constexpr std::array kClocks = {
    "clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "time",
};
constexpr std::array kSocketsAndWaiting = {
    "accept",      "accept4",      "bind",       "connect",  "epoll_create1", "epoll_ctl",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "getpeername",   "getsockname",
    "getsockopt",  "listen",       "poll",       "ppoll",    "pselect6",      "recvfrom",
    "recvmsg",     "select",       "sendmmsg",   "sendmsg",  "sendto",        "setsockopt",
    "shutdown",    "pidfd_open",
};
// os/acting_as.h
constexpr std::array kIds = {
    "getegid", "geteuid", "getgid", "getgroups", "getuid", "setfsgid", "setfsuid", "setgroups",
};
constexpr std::array kOfSanitizers = {
    "clone", "ioctl",     "kill",   "mmap",           "mprotect",           "personality",
    "prctl", "prlimit64", "ptrace", "sched_getparam", "sched_getscheduler", "tgkill",
    "tkill",
};

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS))) {}
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  ~Filter() { seccomp_release(context_); }

  template <typename Names>
  void Allow(const Names& names) {
    for (const char* const name : names) Allow(name, {});
  }
  // Only when all of `when` is true of its arguments.
  void Allow(const char* name, std::initializer_list<scmp_arg_cmp> when) {
    const int number = seccomp_syscall_resolve_name(name);
    if (context_ == nullptr || number == __NR_SCMP_ERROR) return;
    const int added = seccomp_rule_add_array(context_, SCMP_ACT_ALLOW, number,
                                             static_cast<unsigned>(when.size()), when.begin());
    if (added < 0 && failure_ == 0) failure_ = -added;
  }

  Status Load() {
    constexpr uint32_t kSortedTree = 2;  // fewer steps to find a call than one after another
    if (context_ == nullptr) return Errno(ENOMEM);
    if (failure_ != 0) return Errno(failure_);
    seccomp_attr_set(context_, SCMP_FLTATR_CTL_OPTIMIZE, kSortedTree);
    int result = seccomp_attr_set(context_, SCMP_FLTATR_CTL_TSYNC, 1);
    if (result == 0) result = seccomp_load(context_);
    return result == 0 ? Status() : Errno(-result);
  }

 private:
  const scmp_filter_ctx context_;
  int failure_ = 0;
};

// Of the bits of `mask`, just those of `bits` are set. The upper half of an int means nothing.
scmp_arg_cmp Has(unsigned argument, scmp_datum_t mask, scmp_datum_t bits) {
  return {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = bits};
}
scmp_arg_cmp IsInt(unsigned argument, uint32_t value) { return Has(argument, UINT32_MAX, value); }

void AllowSomeUses(Filter& filter) {
  // Threads, not processes. clone3 tells what it makes where no filter can see it: the C library
  // makes do with clone.
  filter.Allow("clone", {Has(0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)});
  // Nothing that was written is run.
  filter.Allow("mmap", {Has(2, PROT_EXEC, 0)});
  filter.Allow("mmap", {Has(2, PROT_WRITE, 0)});
  filter.Allow("mprotect", {Has(2, PROT_EXEC, 0)});
  filter.Allow("socket", {IsInt(0, AF_UNIX)});
  filter.Allow("socketpair", {IsInt(0, AF_UNIX)});
  for (const unsigned long request :
       {static_cast<unsigned long>(FUSE_DEV_IOC_CLONE), FS_IOC_GETFLAGS, FS_IOC_SETFLAGS,
        static_cast<unsigned long>(TCGETS)}) {
    filter.Allow("ioctl", {IsInt(1, static_cast<uint32_t>(request))});
  }
  filter.Allow("prctl", {IsInt(0, PR_SET_NAME)});
  filter.Allow("prctl", {IsInt(0, PR_SET_DUMPABLE)});
  // A thread is woken, and a process asked for: nobody else's is sent a signal.
  filter.Allow("tgkill", {IsInt(0, static_cast<uint32_t>(getpid()))});
  filter.Allow("kill", {IsInt(1, 0)});
  filter.Allow("prlimit64", {IsInt(0, 0)});
}

}  // namespace

Status FilterSystemCalls() {
  Filter filter;
  filter.Allow(kFiles);
  filter.Allow(kMemoryAndThreads);
  filter.Allow(kClocks);
  filter.Allow(kSocketsAndWaiting);
  filter.Allow(kIds);
  AllowSomeUses(filter);
  if (kIsSanitized) filter.Allow(kOfSanitizers);
  return filter.Load().WithContext("the kernel filters no system calls");
}

}  // namespace velafs::os
