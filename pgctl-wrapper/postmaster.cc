#include "pgctl-wrapper/postmaster.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "pgctl-wrapper/process.h"
#include "pgctl-wrapper/text_file.h"

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

template <typename Number>
Number ToNumber(std::string_view text) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The target of /proc/PID/<link>; empty when the process is gone, a zombie or somebody else's.
std::string ProcessLink(pid_t pid, const char* link) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/" + link, error).string();
}

std::string Canonical(const std::string& path) {
  std::error_code error;
  const std::filesystem::path canonical = std::filesystem::canonical(path, error);
  return error ? path : canonical.string();
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
  file.port = ToNumber<int>(lines[3]);
  file.socket_dir = lines[4];
  file.status = lines[7].substr(0, lines[7].find(' '));  // padded to a fixed width
  return file;
}

Result<std::optional<PostmasterFile>> ReadPostmasterFile(const std::string& data_dir) {
  Result<std::string> content = ReadTextFile(data_dir + "/postmaster.pid");
  if (content.ok()) return ParsePostmasterFile(*content);
  if (content.status().error_number() == ENOENT) return std::optional<PostmasterFile>();
  return std::move(content).status();
}

Result<std::optional<RunningServer>> FindServer(const std::string& data_dir) {
  VELAFS_ASSIGN(const std::optional<PostmasterFile> file, ReadPostmasterFile(data_dir));
  std::optional<RunningServer> server;
  if (!file) return server;
  Result<UniqueFd> pidfd = OpenPidFd(file->pid);
  // The handle first, then the look at the process: its pid cannot pass to another in between.
  if (!pidfd.ok() || ProcessLink(file->pid, "cwd") != Canonical(data_dir)) return server;
  server = RunningServer{*file, *std::move(pidfd)};
  return server;
}

std::vector<pid_t> ServerProcesses(const std::string& data_dir) {
  const std::string canonical = Canonical(data_dir);
  std::vector<pid_t> pids;
  std::error_code error;
  std::filesystem::directory_iterator entry("/proc", error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const pid_t pid = ToNumber<pid_t>(entry->path().filename().string());
    if (pid <= 0 || ProcessLink(pid, "cwd") != canonical) continue;
    const std::filesystem::path program = ProcessLink(pid, "exe");
    if (program.filename() == "postgres") pids.push_back(pid);
  }
  return pids;
}

std::optional<StopMode> ParseStopMode(std::string_view word) {
  if (word == "smart") return StopMode::kSmart;
  if (word == "fast") return StopMode::kFast;
  if (word == "immediate") return StopMode::kImmediate;
  return std::nullopt;
}

Status StopServer(const RunningServer& server, StopMode mode, std::chrono::seconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  const int signal = SignalFor(mode);
  if (syscall(SYS_pidfd_send_signal, server.pidfd.get(), signal, nullptr, 0) != 0) {
    if (errno == ESRCH) return {};
    return SystemError(errno, "cannot signal process " + std::to_string(server.file.pid));
  }
  constexpr milliseconds kLongestWait = std::chrono::minutes(1);
  while (steady_clock::now() < deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (WaitForEnd(server.pidfd, std::min(left, kLongestWait))) return {};
  }
  return Failed("server process " + std::to_string(server.file.pid) + " did not end in time",
                mode == StopMode::kImmediate ? "" : "try --mode immediate");
}

}  // namespace velafs::pgctl
