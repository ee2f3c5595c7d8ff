#include "velafs/os/helper.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include "velafs/os/capabilities.h"

namespace velafs::os {
namespace {

// Sends a message; false if the other end is no more.
bool Send(int socket, const void* data, size_t size) {
  ssize_t done = 0;
  do {
    done = send(socket, data, size, MSG_NOSIGNAL);
  } while (done < 0 && errno == EINTR);
  return done == static_cast<ssize_t>(size);
}
// Receives one message of up to that size; returns its length. 0 if the other end is no more, or,
// with errno EAGAIN, if nothing has come in time.
size_t Receive(int socket, void* data, size_t size) {
  ssize_t done = 0;
  do {
    errno = 0;
    done = recv(socket, data, size, 0);
  } while (done < 0 && errno == EINTR);
  return done > 0 ? static_cast<size_t>(done) : 0;
}

// How long a Receive waits from now on; 0 is without end. False if it cannot be set.
bool SetPatience(int socket, std::chrono::milliseconds patience) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
  const std::chrono::microseconds rest = patience - seconds;
  const timeval limit{.tv_sec = seconds.count(), .tv_usec = rest.count()};
  return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0;
}

// Keeps nothing of the process it came from: no file, no pipe that somebody waits for, no terminal.
void LetGo(int keep) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  if (chdir("/") != 0) _exit(1);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (null < 0 || dup2(null, fd) < 0) _exit(1);
  }
  const auto kept = static_cast<unsigned>(keep);
  if (kept > STDERR_FILENO + 1) close_range(STDERR_FILENO + 1, kept - 1, 0);
  close_range(kept + 1, ~0U, 0);
}

[[noreturn]] void Serve(int socket, std::span<const int> kept, const Helper::Act& act) {
  LetGo(socket);
  if (geteuid() == 0 && !KeepOnlyCapabilities(kept).ok()) _exit(1);
  prctl(PR_SET_DUMPABLE, 0);
  std::vector<std::byte> request(Helper::kMostBytes);
  while (const size_t size = Receive(socket, request.data(), request.size())) {
    const int outcome = act(std::span(request).first(size));
    if (!Send(socket, &outcome, sizeof outcome)) break;
  }
  _exit(0);
}

}  // namespace

Result<std::unique_ptr<Helper>> Helper::Start(std::span<const int> kept, const Act& act) {
  std::array<int, 2> ends;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return SystemError(errno, "cannot make a pair of sockets");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd its(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return SystemError(errno, "cannot start a process");
  if (pid == 0) Serve(its.get(), kept, act);
  return std::unique_ptr<Helper>(new Helper(pid, std::move(ours)));
}

Helper::~Helper() {
  {
    MutexLock lock(mutex_);
    if (is_stuck_) return;
    socket_.Reset();
  }
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

int Helper::Ask(std::span<const std::byte> request, std::chrono::milliseconds patience) {
  MutexLock lock(mutex_);
  int outcome = EPIPE;
  if (is_stuck_ || !SetPatience(socket_.get(), patience) ||
      !Send(socket_.get(), request.data(), request.size())) {
    return EPIPE;
  }
  if (Receive(socket_.get(), &outcome, sizeof outcome) == sizeof outcome) return outcome;
  if (errno != EAGAIN) return EPIPE;
  is_stuck_ = true;
  socket_.Reset();
  return ETIMEDOUT;
}

}  // namespace velafs::os
