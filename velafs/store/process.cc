#include "velafs/store/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <fstream>
#include <memory>
#include <string>

namespace velafs::store {
namespace {

std::string ProcPath(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

}  // namespace

pid_t ProcessOf(pid_t thread) {
  std::ifstream status(ProcPath(thread, "status"));
  for (std::string word; status >> word;) {
    pid_t process = 0;
    if (word == "Tgid:" && status >> process) return process;
  }
  return thread;
}

Result<ProcessHandle> ProcessHandle::Open(pid_t pid) {
  if (pid <= 0) return Errno(ESRCH);
  const pid_t process = ProcessOf(pid);
  os::UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));  // close-on-exec
  if (!fd) return Errno(errno);
  return ProcessHandle(process, std::move(fd));
}

bool ProcessHandle::IsAlive() const {
  pollfd ended{fd_.get(), POLLIN, 0};
  return poll(&ended, 1, 0) != 1;
}

Result<ProcessHandle> ProcessHandle::Duplicate() const {
  os::UniqueFd copy(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return Errno(errno);
  return ProcessHandle(pid_, std::move(copy));
}

Status ProcessHandle::Signal(int number) const {
  if (syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0) == 0 || errno == ESRCH) {
    return {};
  }
  return SystemError(errno, "cannot signal process " + std::to_string(pid_));
}

bool ProcessHandle::WaitForEnd(std::chrono::steady_clock::time_point deadline) const {
  using std::chrono::milliseconds;
  for (;;) {
    const auto left =
        std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    const auto patience = std::clamp<int64_t>(left, 0, INT_MAX);
    pollfd ended{fd_.get(), POLLIN, 0};
    if (poll(&ended, 1, static_cast<int>(patience)) == 1) return true;
    if (left <= 0) return false;
  }
}

std::optional<FileIdentity> IdentityOf(pid_t pid, const char* link) {
  struct statx info {};
  if (statx(AT_FDCWD, ProcPath(pid, link).c_str(), AT_STATX_DONT_SYNC, STATX_INO, &info) != 0) {
    return {};
  }
  return FileIdentity{info.stx_dev_major, info.stx_dev_minor, info.stx_ino};
}

std::optional<uid_t> UserOf(pid_t pid) {
  struct stat info {};
  if (stat(ProcPath(pid, "").c_str(), &info) != 0) return {};
  return info.st_uid;
}

void ForEachProcess(const std::function<void(pid_t)>& visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  if (proc == nullptr) return;
  while (const dirent* entry = readdir(proc.get())) {
    const std::string name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) visit(pid);
  }
}

}  // namespace velafs::store
