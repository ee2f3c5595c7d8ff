#include "velafs/store/import/running_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <string_view>

#include "velafs/os/unique_fd.h"
#include "velafs/store/process.h"

namespace velafs::store {
namespace {

// Empty when it is not a regular file or cannot be read. Never waits, as for a FIFO's other end: it
// is another's file.
std::string FirstLine(const std::string& path) {
  const os::UniqueFd fd(
      open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!fd || fstat(fd.get(), &info) < 0 || !S_ISREG(info.st_mode)) return {};
  std::array<char, 1024> text;
  const ssize_t got = pread(fd.get(), text.data(), text.size(), 0);
  if (got <= 0) return {};
  const std::string_view read(text.data(), static_cast<size_t>(got));
  return std::string(read.substr(0, read.find('\n')));
}

// The pid in `directory`/postmaster.pid; empty when there is none.
std::optional<pid_t> PostmasterPid(const std::string& directory) {
  const std::string line = FirstLine(directory + "/postmaster.pid");
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), pid);
  if (error != std::errc() || pid == 0 || pid == INT_MIN) return {};
  return std::abs(pid);  // a single-user server writes its pid negated
}

// A server's program is named so, or begins so (postgres.real, postgres-15).
bool IsPostgres(pid_t pid) {
  std::array<char, PATH_MAX> target;
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  const ssize_t length = readlink(link.c_str(), target.data(), target.size());
  if (length <= 0) return false;
  const std::string_view path(target.data(), static_cast<size_t>(length));
  return path.substr(path.rfind('/') + 1).starts_with("postgres");
}

}  // namespace

std::optional<pid_t> ServerRunningOn(const std::string& directory) {
  struct statx info {};
  if (statx(AT_FDCWD, directory.c_str(), 0, STATX_INO | STATX_UID, &info) != 0) return {};
  const FileIdentity identity{info.stx_dev_major, info.stx_dev_minor, info.stx_ino};
  const std::optional<pid_t> named = PostmasterPid(directory);
  if (!named) return {};
  if (UserOf(*named) == info.stx_uid) {
    const std::optional<FileIdentity> works_in = IdentityOf(*named, "cwd");
    const auto process = ProcessHandle::Open(*named);
    const bool is_alive = process.ok() && process->IsAlive();
    if (is_alive && (!works_in || *works_in == identity)) return named;
  }
  // In a container the server knows its own pid by another number than we do.
  std::optional<pid_t> found;
  ForEachProcess([&](pid_t pid) {
    if (!found && IdentityOf(pid, "cwd") == identity && IsPostgres(pid)) found = pid;
  });
  return found;
}

}  // namespace velafs::store
