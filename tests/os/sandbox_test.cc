#include "velafs/os/sandbox.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "tests/os/scratch_directory.h"
#include "velafs/os/acting_as.h"
#include "velafs/os/capabilities.h"
#include "velafs/os/helper.h"
#include "velafs/os/storage.h"
#include "velafs/os/system_calls.h"

namespace velafs::os {
namespace {

// The exit status of a child process that runs `body`; what it gives up, this one keeps.
int InChild(const std::function<int()>& body) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) _exit(body());
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

struct ForbiddenCall {
  const char* name;
  long number;
};

// With arguments that are wrong for all of them: a kernel that knew it would say something else.
bool IsForbidden(const ForbiddenCall& call) {
  errno = 0;
  return syscall(call.number, -1, -1, -1, -1, -1, -1) == -1 && errno == ENOSYS;
}

#define VELAFS_CALL(name) \
  ForbiddenCall { #name, SYS_##name }
constexpr std::array kForbidden = {
    VELAFS_CALL(execve),
    VELAFS_CALL(execveat),
    VELAFS_CALL(clone3),
    VELAFS_CALL(unshare),
    VELAFS_CALL(setns),
    VELAFS_CALL(mount),
    VELAFS_CALL(umount2),
    VELAFS_CALL(move_mount),
    VELAFS_CALL(open_tree),
    VELAFS_CALL(fsopen),
    VELAFS_CALL(pivot_root),
    VELAFS_CALL(chroot),
    VELAFS_CALL(process_vm_readv),
    VELAFS_CALL(process_vm_writev),
    VELAFS_CALL(bpf),
    VELAFS_CALL(perf_event_open),
    VELAFS_CALL(keyctl),
    VELAFS_CALL(add_key),
    VELAFS_CALL(init_module),
    VELAFS_CALL(finit_module),
    VELAFS_CALL(delete_module),
    VELAFS_CALL(kexec_load),
    VELAFS_CALL(swapon),
    VELAFS_CALL(reboot),
    VELAFS_CALL(userfaultfd),
    VELAFS_CALL(io_uring_setup),
    VELAFS_CALL(settimeofday),
    VELAFS_CALL(setuid),
    VELAFS_CALL(setresuid),
    VELAFS_CALL(capset),
    VELAFS_CALL(pidfd_getfd),
    VELAFS_CALL(pidfd_send_signal),
    VELAFS_CALL(mknodat),
    VELAFS_CALL(open_by_handle_at),
    VELAFS_CALL(fanotify_init),
    VELAFS_CALL(memfd_create),
};
#undef VELAFS_CALL

TEST_CASE("behind the filter dangerous system calls do not exist, in any thread") {
  for (const ForbiddenCall& call : kForbidden) {
    INFO(call.name);
    CHECK(InChild([&] {
            // It was there before the filter.
            std::atomic<bool> is_filtered = false;
            std::atomic<bool> is_forbidden = false;
            std::thread other([&] {
              while (!is_filtered) std::this_thread::yield();
              is_forbidden = IsForbidden(call);
            });
            const bool ok = FilterSystemCalls().ok();
            is_filtered = true;
            other.join();
            return ok && is_forbidden && IsForbidden(call) ? 0 : 1;
          }) == 0);
  }
}

TEST_CASE("behind the filter only harmless uses of a system call are left") {
  const auto holds = [](const std::function<bool()>& body) {
    return InChild([&] { return FilterSystemCalls().ok() && body() ? 0 : 1; }) == 0;
  };
  CHECK(holds([] { return socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == ENOSYS; }));
  CHECK(holds([] { return socket(AF_NETLINK, SOCK_RAW, 0) == -1 && errno == ENOSYS; }));
  CHECK(holds([] { return socket(AF_UNIX, SOCK_STREAM, 0) >= 0; }));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(holds([] { return fork() == -1; }));
  CHECK(holds([] { return kill(getppid(), SIGTERM) == -1 && errno == ENOSYS; }));
  CHECK(holds([] { return kill(getppid(), 0) == 0; }));
  const auto signals = [&holds](int number) {
    return holds([number] {
      const auto parent = static_cast<int>(syscall(SYS_pidfd_open, getppid(), 0));
      return syscall(SYS_pidfd_send_signal, parent, number, nullptr, ~0U) == -1 && errno == EINVAL;
    });
  };
  CHECK(signals(SIGINT));  // as far as its arguments being wrong
  CHECK(signals(SIGQUIT));
  CHECK_FALSE(signals(SIGTERM));
  CHECK_FALSE(signals(SIGKILL));
  CHECK(holds([] { return syscall(SYS_ptrace, 0, 0, 0, 0) == -1 && errno == ENOSYS; }));
  CHECK(holds([] {
    return mmap(nullptr, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED;
  }));
  CHECK(holds([] {
    void* const page = mmap(nullptr, 4096, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == -1;
  }));
#endif
  CHECK(holds([] {
    std::thread([] {}).join();
    return true;
  }));
}

TEST_CASE("what the daemon does with files works behind the filter") {
  const test::ScratchDirectory scratch;
  CHECK(InChild([&]() -> int {
          if (!EnterSandbox().ok()) return 1;
          HideMemory();
          Storage& storage = HostStorage();
          const std::string path = scratch / "directory";
          if (!storage.MakeDirectory(path, 0700).ok()) return 2;
          storage.SpreadDirectories(path);
          const auto file = storage.Open(path + "/file", OpenMode::kCreateNew);
          const std::array<std::byte, 8192> page{};
          if (!file.ok() || !(*file)->Write(0, page).ok()) return 3;
          if (!(*file)->Allocate({0, 65536}, false).ok()) return 4;
          if (!(*file)->Sync(SyncKind::kFull).ok() || !(*file)->Truncate(10).ok()) return 5;
          if (!storage.Space(path).ok() || !storage.List(path).ok()) return 6;
          return storage.RemoveTree(path).ok() ? 0 : 7;
        }) == 0);
}

std::string StatusField(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return line.substr(line.find_last_of(" \t") + 1);
  }
  return "";
}

TEST_CASE("a sandbox says what is left, and cannot be left") {
  CHECK(!CurrentSandbox());
  CHECK(InChild([] {
          const auto sandbox = EnterSandbox();
          if (!sandbox.ok() || !sandbox->no_new_privileges || !sandbox->is_filtered) return 1;
          if (!sandbox->missing.empty() || !CurrentSandbox()) return 2;
          if (StatusField("NoNewPrivs") != "1" || StatusField("Seccomp") != "2") return 3;
          if (sandbox->capabilities.empty() != (geteuid() != 0)) return 4;
          return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 5 : 0;
        }) == 0);
}

TEST_CASE("root's sandbox leaves the rights of others on files to act with") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root has capabilities to keep");
    return;
  }
  const test::ScratchDirectory scratch;
  const std::string path = scratch / "of root";
  std::ofstream(path) << "secret";
  REQUIRE(chmod(path.c_str(), 0600) == 0);
  REQUIRE(chmod(scratch.path().c_str(), 0711) == 0);
  CHECK(InChild([&]() -> int {
          if (!EnterSandbox().ok()) return 1;
          {
            const auto acting = ActingAs::Begin({65534, 65534, {}});
            if (!acting.ok() || access(path.c_str(), F_OK) != 0) return 2;
            if (open(path.c_str(), O_RDONLY | O_CLOEXEC) >= 0) return 3;
          }
          return open(path.c_str(), O_RDONLY | O_CLOEXEC) >= 0 ? 0 : 4;
        }) == 0);
}

TEST_CASE("only the capabilities that are named are kept, by no program either") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root has capabilities to keep");
    return;
  }
  CHECK(InChild([] {
          constexpr std::array kKept = {CAP_CHOWN, CAP_SYS_PTRACE};
          const auto left = KeepOnlyCapabilities(kKept);
          constexpr uint64_t kBits = 1 << CAP_CHOWN | 1 << CAP_SYS_PTRACE;
          if (!left.ok() || *left != kBits) return 1;
          for (const char* const set : {"CapEff", "CapPrm", "CapBnd"}) {
            if (std::stoull(StatusField(set), nullptr, 16) != kBits) return 2;
          }
          return std::stoull(StatusField("CapInh"), nullptr, 16) == 0 ? 0 : 3;
        }) == 0);
}

TEST_CASE("a helper acts when it is asked, with no file of ours, and ends with us") {
  const UniqueFd file(open("/dev/zero", O_RDONLY));
  std::array<int, 2> ends;
  REQUIRE(pipe(ends.data()) == 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const std::vector<std::byte> largest(Helper::kMostBytes);
  auto helper = Helper::Start({}, [fd = file.get()](std::span<const std::byte> request) {
    if (request.size() == Helper::kMostBytes) return EBUSY;
    return fcntl(fd, F_GETFD) == -1 ? 0 : 1;
  });
  REQUIRE(helper.ok());
  CHECK((*helper)->Ask(largest) == EBUSY);
  CHECK((*helper)->Ask(std::span(largest).first(1)) == 0);
  // Who waits for the end of our pipe waits for nobody else.
  write_end.Reset();
  char byte = 0;
  CHECK(read(read_end.get(), &byte, 1) == 0);
  helper->reset();
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("a helper that does not answer in time is not waited for") {
  const std::array<std::byte, 1> request{};
  {
    auto helper = Helper::Start({}, [](std::span<const std::byte>) {
      usleep(500'000);
      return 0;
    });
    REQUIRE(helper.ok());
    CHECK((*helper)->Ask(request, std::chrono::milliseconds(10)) == ETIMEDOUT);
    CHECK((*helper)->Ask(request) == EPIPE);
  }
  CHECK(waitpid(-1, nullptr, 0) > 0);  // it ends by itself
}

TEST_CASE("a helper that has ended says so") {
  const std::array<std::byte, 1> request{};
  auto helper = Helper::Start({}, [](std::span<const std::byte>) -> int { _exit(0); });
  REQUIRE(helper.ok());
  CHECK((*helper)->Ask(request) == EPIPE);
  CHECK((*helper)->Ask(request) == EPIPE);
}

}  // namespace
}  // namespace velafs::os
