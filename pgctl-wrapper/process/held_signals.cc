#include "pgctl-wrapper/process/held_signals.h"

#include <sys/signalfd.h>

#include "pgctl-wrapper/process/process.h"
#include "velafs/base/check.h"

namespace velafs::pgctl {
namespace {

constexpr int kEnders[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

bool IsIgnored(int signal) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

}  // namespace

HeldSignals::HeldSignals() {
  sigemptyset(&enders_);
  for (const int signal : kEnders) {
    if (!IsIgnored(signal)) sigaddset(&enders_, signal);
  }
  signal(SIGCHLD, SIG_DFL);  // a caller that ignores it would hide how children end
  sigset_t held = enders_;
  sigaddset(&held, SIGCHLD);
  sigprocmask(SIG_BLOCK, &held, nullptr);
}

int HeldSignals::Pending() const {
  sigset_t pending;
  sigpending(&pending);
  for (const int signal : kEnders) {
    if (sigismember(&enders_, signal) == 1 && sigismember(&pending, signal) == 1) return signal;
  }
  return 0;
}

int HeldSignals::WaitFor(pid_t command) {
  sigset_t awaited = enders_;
  sigaddset(&awaited, SIGCHLD);
  for (;;) {
    if (const auto ended = ExitStatusIfEnded(command)) return *ended;
    siginfo_t info{};
    const int signal = sigwaitinfo(&awaited, &info);
    if (signal <= 0 || signal == SIGCHLD) continue;
    if (info.si_code != SI_KERNEL) kill(command, signal);
  }
}

UniqueFd HeldSignals::Arrivals() const {
  sigset_t awaited = enders_;
  sigaddset(&awaited, SIGCHLD);
  UniqueFd arrivals(signalfd(-1, &awaited, SFD_CLOEXEC | SFD_NONBLOCK));
  VELAFS_CHECK(arrivals.get() >= 0);
  return arrivals;
}

}  // namespace velafs::pgctl
