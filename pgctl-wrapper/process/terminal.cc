#include "pgctl-wrapper/process/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

namespace velafs::pgctl {
namespace {

constexpr int kPassedOn[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr size_t kRelayedBytes = 4096;

// Every key goes to the program's terminal, which knows what to make of it.
class RawTerminal {
 public:
  explicit RawTerminal(int fd) : fd_(fd), is_set_(tcgetattr(fd, &before_) == 0) {
    termios raw = before_;
    cfmakeraw(&raw);
    if (is_set_) tcsetattr(fd_, TCSADRAIN, &raw);
  }
  // What was typed, or answered by the terminal, and not read, is not for the shell.
  ~RawTerminal() {
    if (is_set_) tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  const int fd_;
  termios before_{};
  const bool is_set_;
};

struct Pair {
  UniqueFd master;
  UniqueFd slave;
};

Result<Pair> MakePair() {
  Pair pair;
  pair.master.Reset(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  char name[64];
  if (!pair.master || grantpt(pair.master.get()) != 0 || unlockpt(pair.master.get()) != 0 ||
      ptsname_r(pair.master.get(), name, sizeof name) != 0) {
    return SystemError(errno, "cannot make a terminal");
  }
  pair.slave.Reset(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pair.slave) return SystemError(errno, "cannot open a terminal");
  return pair;
}

void WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

// Between the caller's terminal and the program's.
class Relay {
 public:
  Relay(pid_t program, UniqueFd ended, UniqueFd signals, UniqueFd master, int in, int out)
      : program_(program),
        ended_(std::move(ended)),
        signals_(std::move(signals)),
        master_(std::move(master)),
        in_(in),
        out_(out) {}

  // Until the program has ended.
  void Run() {
    for (;;) {
      const bool is_full = !unwritten_.empty();
      const short master_events = static_cast<short>(POLLIN | (is_full ? POLLOUT : 0));
      pollfd fds[] = {{ended_.get(), POLLIN, 0},
                      {signals_.get(), POLLIN, 0},
                      {master_.get(), master_events, 0},
                      {is_full ? -1 : in_, POLLIN, 0}};
      if (poll(fds, 4, -1) < 0 && errno != EINTR) return;
      if (fds[1].revents != 0) PassSignal();
      if (fds[2].revents != 0) PassOutput();
      if ((fds[2].revents & POLLOUT) != 0) PassInput();
      if (fds[3].revents != 0) ReadInput();
      if (fds[0].revents != 0) break;
    }
    while (master_ && PassOutput()) {
    }
  }

 private:
  void PassSignal() {
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof info) != sizeof info) return;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGWINCH) {
      winsize size{};
      if (master_ && ioctl(out_, TIOCGWINSZ, &size) == 0) ioctl(master_.get(), TIOCSWINSZ, &size);
    } else {
      kill(program_, signal);
    }
  }

  // False when there is none now.
  bool PassOutput() {
    char buffer[kRelayedBytes];
    const ssize_t count = read(master_.get(), buffer, sizeof buffer);
    if (count > 0) WriteAll(out_, {buffer, static_cast<size_t>(count)});
    const bool is_there = count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
    if (!is_there) master_.Reset();  // nobody has its other end open any more
    return count > 0;
  }

  void ReadInput() {
    char buffer[kRelayedBytes];
    const ssize_t count = read(in_, buffer, sizeof buffer);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (count <= 0) {  // the caller's terminal is gone
      in_ = -1;
      kill(program_, SIGHUP);
      return;
    }
    unwritten_.assign(buffer, static_cast<size_t>(count));
    PassInput();
  }

  void PassInput() {
    if (!master_) return unwritten_.clear();
    const ssize_t count = write(master_.get(), unwritten_.data(), unwritten_.size());
    if (count > 0) unwritten_.erase(0, static_cast<size_t>(count));
    if (count < 0 && errno != EAGAIN && errno != EINTR) unwritten_.clear();
  }

  const pid_t program_;
  const UniqueFd ended_;
  const UniqueFd signals_;
  UniqueFd master_;  // none: the program has no terminal
  int in_;           // -1: nothing is passed on
  const int out_;
  std::string unwritten_;
};

Result<UniqueFd> HoldSignals() {
  sigset_t held;
  sigemptyset(&held);
  for (const int signal : kPassedOn) sigaddset(&held, signal);
  sigaddset(&held, SIGWINCH);
  signal(SIGCHLD, SIG_DFL);  // a caller that ignores it would hide how the program ends
  sigprocmask(SIG_BLOCK, &held, nullptr);
  UniqueFd signals(signalfd(-1, &held, SFD_CLOEXEC));
  if (!signals) return SystemError(errno, "cannot watch signals");
  return signals;
}

// As the caller's terminal is, before its keys are passed on.
void Shape(int slave, int terminal, bool passes_keys) {
  termios attributes{};
  winsize size{};
  if (ioctl(terminal, TIOCGWINSZ, &size) == 0) ioctl(slave, TIOCSWINSZ, &size);
  if (tcgetattr(terminal, &attributes) != 0) return;
  if (!passes_keys) attributes.c_oflag &= ~static_cast<tcflag_t>(OPOST);  // the caller's does it
  tcsetattr(slave, TCSANOW, &attributes);
}

}  // namespace

Result<int> RunOnOwnTerminal(Command command) {
  int* const places[] = {&command.stdin_fd, &command.stdout_fd, &command.stderr_fd};
  int terminal = -1;
  for (int fd = STDERR_FILENO; fd >= STDIN_FILENO; --fd) {
    if (isatty(fd) == 1) terminal = fd;
  }
  const bool passes_keys = isatty(STDIN_FILENO) == 1;
  Pair pair;
  if (terminal >= 0) {
    VELAFS_ASSIGN(pair, MakePair());
    Shape(pair.slave.get(), terminal, passes_keys);
    command.terminal_fd = pair.slave.get();
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
      if (isatty(fd) == 1) *places[fd] = pair.slave.get();
    }
  }
  command.new_session = true;
  command.signal_when_parent_dies = SIGHUP;
  VELAFS_ASSIGN(UniqueFd signals, HoldSignals());
  std::optional<RawTerminal> raw;
  if (passes_keys) raw.emplace(STDIN_FILENO);
  VELAFS_ASSIGN(const pid_t program, Spawn(command));
  pair.slave.Reset();
  VELAFS_ASSIGN(UniqueFd ended, OpenPidFd(program));
  Relay(program, std::move(ended), std::move(signals), std::move(pair.master),
        passes_keys ? STDIN_FILENO : -1, terminal)
      .Run();
  return WaitForExit(program);
}

}  // namespace velafs::pgctl
