#include "pgctl-wrapper/server/idle_stop.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "pgctl-wrapper/connect/clients.h"
#include "pgctl-wrapper/connect/tcp_login.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/server/postmaster.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kStopped = " stopped\n";
constexpr std::chrono::seconds kStopTime{60};

std::string FileIn(const RunDir& run_dir) { return run_dir.path + "/idle-stop"; }

void Append(const std::string& path, const std::string& text) {
  const UniqueFd file(
      open(path.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW));
  if (file) [[maybe_unused]]
    const ssize_t written = write(file.get(), text.data(), text.size());
}

// Until the server has ended.
void Watch(const RunningServer& server, uint16_t port, const RunDir& run_dir,
           std::chrono::seconds after, int file) {
  const ServerAddress address{run_dir.socket_dir, port};
  const milliseconds interval =
      std::clamp(milliseconds(after) / 10, milliseconds(100), milliseconds(1000));
  auto last_used = steady_clock::now();
  while (!WaitForEnd(server.pidfd, interval)) {
    const auto now = steady_clock::now();
    if (CountClients(server.file.pid, address) > 0) last_used = now;
    if (now - last_used < after) continue;
    Append(run_dir.Log(), "velapg: stopping: no client for " + FormatDuration(after) + "\n");
    const auto login = ReadTcpLogin(run_dir);
    if (!StopServer(server, StopMode::kFast, kStopTime).ok()) continue;
    (void)ForgetTcpLogin(run_dir, login);
    const std::string text = std::to_string(after.count()) + std::string(kStopped);
    [[maybe_unused]] const ssize_t written = pwrite(file, text.data(), text.size(), 0);
    return;
  }
}

// In the child: a process of the data's owner, out of everybody's way, that keeps only `file`.
int Detach(const Owner& owner, int file) {
  setsid();
  signal(SIGPIPE, SIG_IGN);
  if (!BecomeForGood(owner).ok() || chdir("/") != 0) _exit(1);
  prctl(PR_SET_DUMPABLE, 0);  // it has root's memory, in which that user has no business
  const int null = open("/dev/null", O_RDWR);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) dup2(null, fd);
  const int kept = dup2(file, STDERR_FILENO + 1);
  close_range(static_cast<unsigned>(kept) + 1, ~0U, 0);
  return kept;
}

// The file, locked for as long as somebody holds it open.
Result<UniqueFd> MakeFile(const RunDir& run_dir, std::chrono::seconds after) {
  const std::string path = FileIn(run_dir);
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const std::string text = std::to_string(after.count()) + "\n";
  if (!file || flock(file.get(), LOCK_EX | LOCK_NB) != 0 ||
      write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return SystemError(errno, "cannot create \"" + path + "\"");
  }
  return file;
}

}  // namespace

std::optional<IdleStop> ParseIdleStop(std::string_view text) {
  int64_t seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec != std::errc() || seconds <= 0) return std::nullopt;
  IdleStop idle_stop;
  idle_stop.after = std::chrono::seconds(seconds);
  idle_stop.has_stopped = text.ends_with(kStopped);
  return idle_stop;
}

std::optional<IdleStop> ReadIdleStop(const RunDir& run_dir) {
  constexpr uint64_t kMostBytes = 64;
  const Result<UniqueFd> file = OpenForeignFile(FileIn(run_dir));
  if (!file.ok()) return std::nullopt;
  const Result<std::string> text = ReadAll(file->get(), 0, kMostBytes);
  if (!text.ok()) return std::nullopt;
  std::optional<IdleStop> idle_stop = ParseIdleStop(*text);
  if (idle_stop) idle_stop->is_watched = flock(file->get(), LOCK_SH | LOCK_NB) != 0;
  return idle_stop;
}

Status ClearIdleStop(const RunDir& run_dir) {
  const std::string path = FileIn(run_dir);
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return SystemError(errno, "cannot remove \"" + path + "\"");
}

Status StopWhenIdle(const std::string& data_dir, pid_t server_pid, uint16_t port,
                    const RunDir& run_dir, const Owner& owner, std::chrono::seconds after) {
  VELAFS_TRY(ClearIdleStop(run_dir));
  VELAFS_ASSIGN(const UniqueFd file, MakeFile(run_dir, after));
  const pid_t pid = fork();
  if (pid < 0) return SystemError(errno, "cannot start a process");
  if (pid > 0) return {};
  const int kept = Detach(owner, file.get());
  const auto server = FindServer(data_dir, server_pid);
  if (server.ok() && *server) Watch(**server, port, run_dir, after, kept);
  _exit(0);
}

}  // namespace velafs::pgctl
