#include "velafs/store/servers.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string_view>

#include "velafs/os/unique_fd.h"

namespace velafs::store {
namespace {

std::string ProcPath(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

// Empty when it is no regular file or cannot be read. Never waits, as for a FIFO's other end: it is
// another's file.
std::string FirstLine(const std::string& path) {
  const os::UniqueFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info;
  if (!fd || fstat(fd.get(), &info) < 0 || !S_ISREG(info.st_mode)) return {};
  std::array<char, 1024> text;
  const ssize_t got = pread(fd.get(), text.data(), text.size(), 0);
  if (got <= 0) return {};
  const std::string_view read(text.data(), static_cast<size_t>(got));
  return std::string(read.substr(0, read.find('\n')));
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

bool IsAlive(pid_t pid) { return kill(pid, 0) == 0 || errno == EPERM; }

enum class Answer { kNo, kYes, kCannotTell };

Answer WorksIn(pid_t pid, const struct stat& directory) {
  struct stat cwd;
  if (stat(ProcPath(pid, "cwd").c_str(), &cwd) < 0) {
    // A process that has ended, zombies included, has no working directory.
    return errno == ENOENT || errno == ESRCH ? Answer::kNo : Answer::kCannotTell;
  }
  const bool same = cwd.st_dev == directory.st_dev && cwd.st_ino == directory.st_ino;
  return same ? Answer::kYes : Answer::kNo;
}

}  // namespace

std::optional<pid_t> PostmasterPid(const std::string& directory) {
  const std::string line = FirstLine(directory + "/postmaster.pid");
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), pid);
  if (error != std::errc() || pid == 0) return {};
  return std::abs(pid);  // a single-user server writes its pid negated
}

std::string ProcessName(pid_t pid) { return FirstLine(ProcPath(pid, "comm")); }

std::optional<pid_t> ServerRunningOn(const std::string& directory) {
  struct stat info;
  if (stat(directory.c_str(), &info) < 0) return {};
  const std::optional<pid_t> named = PostmasterPid(directory);
  if (!named) return {};
  if (IsAlive(*named) && WorksIn(*named, info) != Answer::kNo) return named;
  // In a container the server knows its own pid by another number than we do.
  std::optional<pid_t> found;
  ForEachProcess([&](pid_t pid) {
    if (found || ProcessName(pid) != "postgres") return;
    if (WorksIn(pid, info) == Answer::kYes) found = pid;
  });
  return found;
}

std::map<std::string, std::set<pid_t>> WorkingDirectoriesUnder(const std::string& directory) {
  std::map<std::string, std::set<pid_t>> found;
  const std::string prefix = directory + "/";
  ForEachProcess([&](pid_t pid) {
    std::array<char, PATH_MAX> target;
    const ssize_t length = readlink(ProcPath(pid, "cwd").c_str(), target.data(), target.size());
    if (length <= 0) return;
    std::string path(target.data(), static_cast<size_t>(length));
    if (path.starts_with(prefix)) found[std::move(path)].insert(pid);
  });
  return found;
}

}  // namespace velafs::store
