#include "velafs/os/system_calls.h"

#include <linux/fs.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "velafs/os/system_call_filter.h"

namespace velafs::os {
namespace {

// Names, since what the C library uses for a function differs with its version and the processor;
// those that this machine's libseccomp does not know are left out.
constexpr std::array kFileCalls = {
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

void AllowSomeUses(SystemCallFilter& filter) {
  // Threads, not processes. clone3 tells what it makes where no filter can see it: the C library
  // makes do with clone.
  filter.Allow("clone", {HasBits(0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)});
  // Nothing that was written is run.
  filter.Allow("mmap", {HasBits(2, PROT_EXEC, 0)});
  filter.Allow("mmap", {HasBits(2, PROT_WRITE, 0)});
  filter.Allow("mprotect", {HasBits(2, PROT_EXEC, 0)});
  filter.Allow("socket", {IsInteger(0, AF_UNIX)});
  filter.Allow("socketpair", {IsInteger(0, AF_UNIX)});
  for (const unsigned long request :
       {static_cast<unsigned long>(FUSE_DEV_IOC_CLONE), FS_IOC_GETFLAGS, FS_IOC_SETFLAGS,
        static_cast<unsigned long>(TCGETS)}) {
    filter.Allow("ioctl", {IsInteger(1, static_cast<uint32_t>(request))});
  }
  filter.Allow("prctl", {IsInteger(0, PR_SET_NAME)});
  filter.Allow("prctl", {IsInteger(0, PR_SET_DUMPABLE)});
  // A thread is woken, and a process asked for: nobody else's is sent a signal.
  filter.Allow("tgkill", {IsInteger(0, static_cast<uint32_t>(getpid()))});
  filter.Allow("kill", {IsInteger(1, 0)});
  // But for a server of a branch whose time has passed (store/server_registry.h).
  filter.Allow("pidfd_send_signal", {IsInteger(1, SIGINT)});
  filter.Allow("pidfd_send_signal", {IsInteger(1, SIGQUIT)});
  filter.Allow("prlimit64", {IsInteger(0, 0)});
}

}  // namespace

Status FilterSystemCalls() {
  SystemCallFilter filter(ENOSYS);
  filter.Allow(kFileCalls);
  filter.Allow(kMemoryAndThreads);
  filter.Allow(kClocks);
  filter.Allow(kSocketsAndWaiting);
  filter.Allow(kIds);
  AllowSomeUses(filter);
  if (kIsSanitized) filter.Allow(kOfSanitizers);
  return filter.Load().WithContext("the kernel filters no system calls");
}

}  // namespace velafs::os
