#include "pgctl-wrapper/process/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "pgctl-wrapper/process/pipe.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/server/server_group.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kCannotExecute = 127;

// `text` as the null-terminated array that exec wants; borrows from it.
std::vector<char*> Pointers(std::vector<std::string>& text) {
  std::vector<char*> pointers;
  for (std::string& item : text) pointers.push_back(item.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Moves the three standard descriptors into place. Two passes, so that none overwrites another's
// source.
bool PlaceStandardFds(const Command& command) {
  int sources[3] = {command.stdin_fd, command.stdout_fd, command.stderr_fd};
  for (int& source : sources) {
    if (source > 2) continue;
    source = fcntl(source, F_DUPFD_CLOEXEC, 3);
    if (source < 0) return false;
  }
  for (int target = 0; target < 3; ++target) {
    if (dup2(sources[target], target) < 0) return false;
  }
  return true;
}

void UnblockSignals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

Status CannotRun(const Command& command) {
  return SystemError(errno, "cannot run \"" + command.argv[0] + "\"");
}

// Returns only on failure. `kept_fd`, when there is one, stays open.
Status ExecuteKeeping(const Command& command, int kept_fd) {
  std::vector<std::string> argv = command.argv;
  std::vector<std::string> environment;
  for (const auto& [name, value] : command.environment) environment.push_back(name + "=" + value);
  UnblockSignals();
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (kept_fd >= 0) fcntl(kept_fd, F_SETFD, 0);
  execvpe(argv[0].c_str(), Pointers(argv).data(), Pointers(environment).data());
  return CannotRun(command);
}

constexpr std::string_view kForServers[] = {
    "PATH", "LANG", "LANGUAGE", "TZ", "PG_OOM_ADJUST_FILE", "PG_OOM_ADJUST_VALUE"};
constexpr std::string_view kForClients[] = {
    "TERM",   "COLUMNS",     "LINES",       "PAGER",     "PSQL_PAGER",       "LESS",
    "EDITOR", "VISUAL",      "PSQL_EDITOR", "NO_COLOR",  "PG_COLOR",         "PGOPTIONS",
    "PGTZ",   "PGDATESTYLE", "PGAPPNAME",   "PGSSLMODE", "PGCLIENTENCODING", "PGCONNECT_TIMEOUT"};

bool IsAmong(const std::string& name, std::span<const std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// Programs of somebody's own making may need their libraries found.
bool IsForServers(const std::string& name) {
  return name.starts_with("LC_") || IsAmong(name, kForServers) ||
         (getuid() != 0 && name == "LD_LIBRARY_PATH");
}

template <typename Predicate>
void KeepOnly(Environment& environment, Predicate is_kept) {
  std::erase_if(environment, [&](const auto& entry) { return !is_kept(entry.first); });
}

void SetOwner(Environment& environment, const Owner& owner) {
  environment["HOME"] = owner.home;
  environment["USER"] = owner.name;
  environment["LOGNAME"] = owner.name;
}

// How a child tells that it does not come to exec.
struct FailureReport {
  int error_number = 0;
  char isolation_step[200] = "";  // empty: it is something else that failed
  char group_failure[500] = "";   // likewise
};

template <size_t size>
void CopyText(const std::string& text, char (&place)[size]) {
  place[text.copy(place, size - 1)] = '\0';
}

// As the process's real user, who may be acting as another. Limits that do not hold are a failure;
// a group that a server has only for its own sake is not worth one.
Status JoinGroup(const ServerGroup& group) {
  const uid_t acting_as = geteuid();
  if (seteuid(getuid()) != 0) return SystemError(errno, "cannot act as the caller");
  Status joined = JoinServerGroup(group);
  if (seteuid(acting_as) != 0) return SystemError(errno, "cannot act as the data's owner");
  if (joined.ok() || group.limits.any()) return joined;
  std::fprintf(stderr, "velapg: warning: %s\n", joined.message().c_str());
  return {};
}

Status CannotIsolate(const FailureReport& failure) {
  return Refused(
      "cannot isolate the server from the network: " + std::string(failure.isolation_step),
      "allow user namespaces (sysctl user.max_user_namespaces and "
      "kernel.apparmor_restrict_unprivileged_userns; a container needs the capability "
      "SYS_ADMIN), or choose the host's network with --network host");
}

// In the child, up to exec. Returns only on failure.
FailureReport PrepareAndExec(const Command& command, pid_t parent) {
  FailureReport failure;
  const auto with_errno = [&failure] {
    failure.error_number = errno;
    return failure;
  };
  if (command.group) {
    const Status joined = JoinGroup(*command.group);
    if (!joined.ok()) {
      const std::string& hint = joined.hint();
      CopyText(joined.message() + (hint.empty() ? "" : ": " + hint), failure.group_failure);
      return failure;
    }
  }
  // Whoever is of the user that it runs as could make it type into root's terminal.
  const bool is_for_another = command.run_as != nullptr && getuid() == 0;
  if (command.new_session || is_for_another) setsid();
  if (command.terminal_fd >= 0 && ioctl(command.terminal_fd, TIOCSCTTY, 0) != 0) {
    return with_errno();
  }
  if (!PlaceStandardFds(command)) return with_errno();
  UniqueFd pin;
  if (command.isolation) {
    Result<UniqueFd> entered = EnterIsolation(*command.isolation, *command.run_as);
    if (!entered.ok()) {
      CopyText(entered.status().message(), failure.isolation_step);
      return failure;
    }
    pin = *std::move(entered);
  } else if (command.run_as && !BecomeForGood(*command.run_as).ok()) {
    return with_errno();
  }
  if (command.signal_when_parent_dies != 0) {
    prctl(PR_SET_PDEATHSIG,
          command.signal_when_parent_dies);  // after the change of user, which clears it
    if (getppid() != parent) _exit(kCannotExecute);
  }
  (void)ExecuteKeeping(command, pin.get());
  return with_errno();
}

Status StatusOf(const Command& command, const FailureReport& failure) {
  if (failure.isolation_step[0] != '\0') return CannotIsolate(failure);
  if (failure.group_failure[0] != '\0') return Refused(failure.group_failure);
  errno = failure.error_number;
  return CannotRun(command);
}

// Its reader takes what is there, and never waits. A pipe and no file: pg_dump of PostgreSQL 16 and
// later appends to its standard output, behind the end of whatever room a file there has been
// given.
Result<Pipe> MakePipeForPolling() {
  VELAFS_ASSIGN(Pipe pipe, MakePipe());
  if (fcntl(pipe.out.get(), F_SETFL, O_NONBLOCK) == 0) return pipe;
  return SystemError(errno, "cannot make a pipe");
}

// Adds what the pipe holds now to `text`, until that has `most_bytes` or a little more. Closes the
// pipe at its end.
Status ReadAvailable(UniqueFd& pipe, uint64_t most_bytes, std::string& text) {
  char buffer[16 * 1024];
  while (pipe && text.size() < most_bytes) {
    const ssize_t count = read(pipe.get(), buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<size_t>(count));
    if (count == 0) pipe.Reset();
    if (count >= 0 || errno == EINTR) continue;
    if (errno == EAGAIN) break;
    return SystemError(errno, "cannot read the output of a program");
  }
  return {};
}

Result<UniqueFd> OpenNull() {
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return SystemError(errno, "cannot open \"/dev/null\"");
  return null;
}

}  // namespace

void OpenStandardFds() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd < 3);
  if (fd >= 0) close(fd);
}

Environment CallerEnvironment() {
  Environment environment;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

Environment EnvironmentOf(const Owner& owner) {
  Environment environment = CallerEnvironment();
  if (getuid() == 0) {
    KeepOnly(environment, [](const std::string& name) {
      return IsForServers(name) || IsAmong(name, kForClients);
    });
  }
  SetOwner(environment, owner);
  if (getuid() == 0) {
    environment["HOME"] = "/nonexistent";
    environment["PSQL_HISTORY"] = "/dev/null";
  }
  return environment;
}

Environment ServerEnvironment(const Owner& owner) {
  Environment environment = CallerEnvironment();
  KeepOnly(environment, IsForServers);
  SetOwner(environment, owner);
  return environment;
}

Result<pid_t> Spawn(const Command& command) {
  VELAFS_CHECK(command.isolation == nullptr || command.run_as != nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  const UniqueFd failure_out(ends[0]);
  UniqueFd failure_in(ends[1]);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return SystemError(errno, "cannot start a process");
  if (pid == 0) {
    const FailureReport failure = PrepareAndExec(command, parent);
    [[maybe_unused]] const ssize_t written = write(failure_in.get(), &failure, sizeof failure);
    _exit(kCannotExecute);
  }

  failure_in.Reset();  // exec closes the child's copy: end of file means it runs
  FailureReport failure;
  ssize_t count;
  do {
    count = read(failure_out.get(), &failure, sizeof failure);
  } while (count < 0 && errno == EINTR);
  if (count != sizeof failure) return pid;
  WaitForExit(pid);
  return StatusOf(command, failure);
}

Status Become(const Command& command) {
  return StatusOf(command, PrepareAndExec(command, getppid()));
}

Status Execute(const Command& command) { return ExecuteKeeping(command, /*kept_fd=*/-1); }

int ExitStatusOf(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int EndChild(pid_t pid, int signal, milliseconds time) {
  kill(pid, signal);
  const Result<UniqueFd> pidfd = OpenPidFd(pid);
  if (!pidfd.ok() || !WaitForEnd(*pidfd, time)) kill(pid, SIGKILL);
  return WaitForExit(pid);
}

int WaitForExit(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) VELAFS_CHECK(errno == EINTR);
  return ExitStatusOf(status);
}

std::optional<int> ExitStatusIfEnded(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, WNOHANG) != pid) return std::nullopt;
  return ExitStatusOf(status);
}

CapturedProcess::CapturedProcess(CapturedProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      program_(std::move(other.program_)),
      limits_(other.limits_),
      deadline_(other.deadline_),
      pidfd_(std::move(other.pidfd_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)) {}

CapturedProcess::~CapturedProcess() {
  if (pid_ > 0) EndChild(pid_, SIGKILL, milliseconds(0));
}

Result<CapturedProcess> CapturedProcess::Start(Command command, const CaptureLimits& limits) {
  CapturedProcess process;
  process.program_ = command.argv[0];
  process.limits_ = limits;
  process.deadline_ = steady_clock::now() + limits.time;
  VELAFS_ASSIGN(Pipe out, MakePipeForPolling());
  VELAFS_ASSIGN(Pipe err, MakePipeForPolling());
  VELAFS_ASSIGN(const UniqueFd null, OpenNull());
  if (command.stdin_fd == STDIN_FILENO) command.stdin_fd = null.get();
  command.stdout_fd = out.in.get();
  command.stderr_fd = err.in.get();
  VELAFS_ASSIGN(process.pid_, Spawn(command));
  VELAFS_ASSIGN(process.pidfd_, OpenPidFd(process.pid_));
  process.out_ = std::move(out.out);
  process.err_ = std::move(err.out);
  return process;
}

Result<Captured> CapturedProcess::Finish() {
  Captured captured;
  for (bool has_ended = false; !has_ended;) {
    pollfd files[] = {{pidfd_.get(), POLLIN, 0}, {out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}};
    const auto left = std::chrono::ceil<milliseconds>(deadline_ - steady_clock::now());
    const int count =
        poll(files, std::size(files), static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (count < 0 && errno != EINTR) return SystemError(errno, "cannot wait for a program");
    if (count < 0) continue;
    if (count == 0) return DidNotEnd();
    has_ended = files[0].revents != 0;  // all that it printed is in the pipes then
    VELAFS_TRY(ReadAvailable(out_, limits_.output_bytes, captured.out));
    VELAFS_TRY(ReadAvailable(err_, limits_.output_bytes, captured.err));
    if (std::max(captured.out.size(), captured.err.size()) >= limits_.output_bytes) {
      EndChild(std::exchange(pid_, -1), SIGKILL, milliseconds(0));
      return Refused("\"" + program_ + "\" prints more than " + FormatSize(limits_.output_bytes));
    }
  }
  captured.exit_status = WaitForExit(std::exchange(pid_, -1));
  return captured;
}

Status CapturedProcess::DidNotEnd() {
  EndChild(std::exchange(pid_, -1), SIGKILL, milliseconds(0));
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(limits_.time);
  return Failed("\"" + program_ + "\" did not end within " + FormatDuration(seconds),
                "it may wait for a file of the branch that is a FIFO, or for the server");
}

Result<Captured> Capture(Command command, const CaptureLimits& limits) {
  VELAFS_ASSIGN(CapturedProcess process, CapturedProcess::Start(std::move(command), limits));
  return process.Finish();
}

Result<UniqueFd> OpenPidFd(pid_t pid) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return SystemError(errno, "cannot watch process " + std::to_string(pid));
  fcntl(pidfd.get(), F_SETFD, FD_CLOEXEC);
  return pidfd;
}

bool WaitForEnd(const UniqueFd& pidfd, milliseconds timeout) {
  pollfd ended{pidfd.get(), POLLIN, 0};
  const auto deadline = steady_clock::now() + timeout;
  for (milliseconds left = timeout;;) {
    const int count = poll(&ended, 1, static_cast<int>(left.count()));
    if (count >= 0 || errno != EINTR) return count == 1;
    left =
        std::max(std::chrono::ceil<milliseconds>(deadline - steady_clock::now()), milliseconds(0));
  }
}

}  // namespace velafs::pgctl
