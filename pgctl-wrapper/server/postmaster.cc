#include "pgctl-wrapper/server/postmaster.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint64_t kMostPostmasterBytes = 4096;  // of a file that a server writes eight lines into
constexpr int64_t kLatestStart = 9'000'000'000;  // in nanoseconds it still fits 64 bits

template <typename Number>
Number ToNumber(std::string_view text) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string ProcessPath(pid_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

bool IsPostgres(pid_t pid) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink(ProcessPath(pid, "exe"), error);
  return program.filename().string().starts_with("postgres");
}

// Which directory a path leads to, asked of its filesystem and not of the kernel's cache, which
// outlives a daemon. False, with errno, when that fails.
bool IdentifyDir(const std::string& path, struct statx* info) {
  return statx(AT_FDCWD, path.c_str(), AT_STATX_FORCE_SYNC, STATX_INO, info) == 0;
}

// Whether it is a server whose directory no daemon serves any more.
bool HasLostMount(pid_t pid) {
  struct statx cwd {};
  const bool lost = !IdentifyDir(ProcessPath(pid, "cwd"), &cwd) && errno == ENOTCONN;
  return lost && IsPostgres(pid);
}

int SignalFor(StopMode mode) {
  if (mode == StopMode::kSmart) return SIGTERM;
  return mode == StopMode::kFast ? SIGINT : SIGQUIT;
}

}  // namespace

std::optional<PostmasterFile> ParsePostmasterFile(std::string_view content) {
  std::array<std::string_view, 8> lines;
  for (std::string_view& line : lines) {
    const size_t end = content.find('\n');
    line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
  }
  PostmasterFile file;
  file.pid = ToNumber<pid_t>(lines[0]);
  if (file.pid <= 0) return std::nullopt;
  file.started_at = ToNumber<int64_t>(lines[2]);
  if (file.started_at < 0 || file.started_at > kLatestStart) file.started_at = 0;
  file.listens_on = lines[5];
  file.status = lines[7].substr(0, lines[7].find(' '));  // padded to a fixed width
  return file;
}

Result<std::optional<PostmasterFile>> ReadPostmasterFile(const std::string& data_dir) {
  Result<std::string> content = ReadBoundedFile(data_dir + "/postmaster.pid", kMostPostmasterBytes);
  if (content.status().code() == Code::kRefused) return std::optional<PostmasterFile>();
  if (content.ok()) return ParsePostmasterFile(*content);
  if (content.status().error_number() == ENOENT) return std::optional<PostmasterFile>();
  return std::move(content).status();
}

Result<std::optional<RunningServer>> FindServer(const std::string& data_dir,
                                                std::optional<pid_t> server_pid) {
  VELAFS_ASSIGN(const std::optional<PostmasterFile> file, ReadPostmasterFile(data_dir));
  std::optional<RunningServer> server;
  if (!file && !server_pid) return server;
  RunningServer found{file.value_or(PostmasterFile()), {}, !server_pid};
  if (server_pid) found.file.pid = *server_pid;
  Result<UniqueFd> pidfd = OpenPidFd(found.file.pid);
  if (!pidfd.ok()) return server;
  // The handle first, then the look at the process: its pid cannot pass to another in between.
  if (found.lost && !HasLostMount(found.file.pid)) return server;
  found.pidfd = *std::move(pidfd);
  server = std::move(found);
  return server;
}

std::optional<RunningServer> FindLostServer(const std::string& socket_dir) {
  std::error_code error;
  std::filesystem::directory_iterator entry(socket_dir, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with(".s.PGSQL.") || !name.ends_with(".lock")) continue;
    const Result<std::string> content =
        ReadBoundedFile(entry->path(), kMostPostmasterBytes);  // as postmaster.pid begins
    if (!content.ok()) continue;
    std::optional<PostmasterFile> file = ParsePostmasterFile(*content);
    if (!file) continue;
    Result<UniqueFd> pidfd = OpenPidFd(file->pid);
    if (pidfd.ok() && HasLostMount(file->pid)) {
      return RunningServer{*std::move(file), *std::move(pidfd), true};
    }
  }
  return std::nullopt;
}

Network NetworkOf(const PostmasterFile& server) {
  struct stat ours {};
  struct stat its {};
  const std::string path = ProcessPath(server.pid, "ns/net");
  if (stat("/proc/self/ns/net", &ours) != 0 || stat(path.c_str(), &its) != 0) {
    return Network::kIsolated;
  }
  if (ours.st_dev == its.st_dev && ours.st_ino == its.st_ino) return Network::kHost;
  return server.listens_on.empty() ? Network::kIsolated : Network::kLoopback;
}

bool ListensToTcp(const PostmasterFile& server) { return server.listens_on == "127.0.0.1"; }

std::optional<StopMode> ParseStopMode(std::string_view word) {
  if (word == "smart") return StopMode::kSmart;
  if (word == "fast") return StopMode::kFast;
  if (word == "immediate") return StopMode::kImmediate;
  return std::nullopt;
}

Status SignalServer(const RunningServer& server, StopMode mode) {
  const int signal = SignalFor(mode);
  if (syscall(SYS_pidfd_send_signal, server.pidfd.get(), signal, nullptr, 0) == 0) return {};
  if (errno == ESRCH) return {};
  return SystemError(errno, "cannot signal process " + std::to_string(server.file.pid));
}

Status StopServer(const RunningServer& server, StopMode mode, std::chrono::seconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  VELAFS_TRY(SignalServer(server, mode));
  constexpr milliseconds kLongestWait = std::chrono::minutes(1);
  while (steady_clock::now() < deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (WaitForEnd(server.pidfd, std::min(left, kLongestWait))) return {};
  }
  return Failed("server process " + std::to_string(server.file.pid) + " did not end in time",
                mode == StopMode::kImmediate ? "" : "try --mode immediate");
}

}  // namespace velafs::pgctl
