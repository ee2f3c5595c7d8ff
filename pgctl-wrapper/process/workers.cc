#include "pgctl-wrapper/process/workers.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "pgctl-wrapper/process/pipe.h"
#include "pgctl-wrapper/process/process.h"

namespace velafs::pgctl {
namespace {

constexpr int kOutputs[] = {STDOUT_FILENO, STDERR_FILENO};

// In the child: nothing of the parent's is left but its memory.
void Separate(pid_t parent, const std::vector<Pipe>& pipes) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  for (size_t i = 0; i < pipes.size(); ++i) dup2(pipes[i].in.get(), kOutputs[i]);
  close_range(STDERR_FILENO + 1, ~0U, 0);
}

void WriteWhole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      pollfd writable{fd, POLLOUT, 0};
      poll(&writable, 1, -1);
      continue;
    }
    if (count < 0) return;  // nobody to tell
    text.remove_prefix(static_cast<size_t>(count));
  }
}

}  // namespace

Status Workers::Start(const std::string& prefix, const std::function<int()>& work) {
  std::vector<Pipe> pipes;
  for ([[maybe_unused]] const int output : kOutputs) {
    VELAFS_ASSIGN(Pipe pipe, MakePipe());
    pipes.push_back(std::move(pipe));
  }
  std::fflush(nullptr);
  const pid_t parent = getpid();
  Worker worker;
  worker.pid = fork();
  if (worker.pid < 0) return SystemError(errno, "cannot start a process");
  if (worker.pid == 0) {
    Separate(parent, pipes);
    _exit(work());
  }
  for (size_t i = 0; i < pipes.size(); ++i) {
    fcntl(pipes[i].out.get(), F_SETFL, O_NONBLOCK);
    worker.streams.push_back({std::move(pipes[i].out), kOutputs[i], LineRelay(prefix)});
  }
  workers_.push_back(std::move(worker));
  return {};
}

void Workers::Signal(int number) const {
  for (const Worker& worker : workers_) {
    if (worker.pid > 0) kill(worker.pid, number);
  }
}

// All that is there to be read now: a pipe holds no more than the buffer.
void Workers::Relay(Stream& stream) {
  if (!stream.fd) return;
  char buffer[65536];
  const ssize_t count = read(stream.fd.get(), buffer, sizeof buffer);
  if (count < 0) return;
  if (count == 0) return Finish(stream);
  WriteWhole(stream.target, stream.lines.Take({buffer, static_cast<size_t>(count)}));
}

void Workers::Finish(Stream& stream) {
  WriteWhole(stream.target, stream.lines.Finish());
  stream.fd.Reset();
}

// A worker's output ends with it: something it has left behind may hold the pipe for ever.
void Workers::Reap() {
  for (Worker& worker : workers_) {
    int status = 0;
    if (worker.pid < 0 || waitpid(worker.pid, &status, WNOHANG) != worker.pid) continue;
    worker.pid = -1;
    if (exit_status_ == 0) exit_status_ = ExitStatusOf(status);
    for (Stream& stream : worker.streams) {
      Relay(stream);
      Finish(stream);
    }
  }
}

void Workers::Poll(const UniqueFd& arrivals) {
  std::vector<pollfd> awaited = {{arrivals.get(), POLLIN, 0}};
  for (const Worker& worker : workers_) {
    for (const Stream& stream : worker.streams) awaited.push_back({stream.fd.get(), POLLIN, 0});
  }
  poll(awaited.data(), awaited.size(), -1);
  for (Worker& worker : workers_) {
    for (Stream& stream : worker.streams) Relay(stream);
  }
}

int Workers::Wait(const HeldSignals& signals) {
  const UniqueFd arrivals = signals.Arrivals();
  const auto is_alive = [](const Worker& worker) { return worker.pid > 0; };
  Reap();
  while (std::any_of(workers_.begin(), workers_.end(), is_alive)) {
    Poll(arrivals);
    signalfd_siginfo info{};
    while (read(arrivals.get(), &info, sizeof info) == sizeof info) {
      const int number = static_cast<int>(info.ssi_signo);
      if (number != SIGCHLD && info.ssi_code != SI_KERNEL) Signal(number);
    }
    Reap();
  }
  return exit_status_;
}

}  // namespace velafs::pgctl
