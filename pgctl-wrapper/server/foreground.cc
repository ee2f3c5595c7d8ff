#include "pgctl-wrapper/server/foreground.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/connect/tcp_login.h"
#include "pgctl-wrapper/process/held_signals.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server_group.h"
#include "velafs/os/service_manager.h"

namespace velafs::pgctl {
namespace {

std::string ServerOf(const Target& target) {
  return "server of branch \"" + target.branch.name + "\"";
}

// What a server is to be sent when this process gets such a signal.
int ServerSignal(const signalfd_siginfo& info, const std::string& data_dir) {
  struct stat any {};
  const bool is_lost = stat(data_dir.c_str(), &any) != 0;  // no checkpoint can be written
  const auto signal = static_cast<int>(info.ssi_signo);
  if (is_lost || signal == SIGQUIT) return SIGQUIT;
  const bool is_reload = signal == SIGHUP && info.ssi_code != SI_KERNEL;  // of no terminal
  return is_reload ? SIGHUP : SIGINT;
}

// A server that this process has started.
struct Running {
  Target target;
  RunDir run_dir;
  StartReport report;
  std::optional<TcpLogin> login;  // what it lets in over TCP
};

Result<Running> BringUp(const Arguments& arguments, const HeldSignals& signals,
                        const os::ServiceManager& manager, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  Running running;
  VELAFS_ASSIGN(running.target, OpenTarget(session, arguments.branch));
  manager.ShowStatus("starting the " + ServerOf(running.target));
  const StartControl control{[&signals] { return signals.Pending() != 0; },
                             /*dies_with_parent=*/true};
  VELAFS_ASSIGN(running.report,
                StartTarget(session, running.target, arguments, std::nullopt, output, control));
  running.run_dir = FindRunDir(session.store(), running.target.branch.id);
  const ActingAs acting(running.target.owner);
  running.login = ReadTcpLogin(running.run_dir);
  return running;
}

// Stays until the server has ended. Its exit status.
int StayWith(const Running& running, const HeldSignals& signals,
             const os::ServiceManager& manager) {
  const UniqueFd arrivals = signals.Arrivals();
  for (;;) {
    pollfd readable{arrivals.get(), POLLIN, 0};
    poll(&readable, 1, -1);
    signalfd_siginfo info{};
    if (read(arrivals.get(), &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo == SIGCHLD) {
      if (const auto ended = ExitStatusIfEnded(running.report.pid)) return *ended;
      continue;
    }
    const int signal = ServerSignal(info, running.target.branch.data_dir);
    kill(running.report.pid, signal);
    if (signal != SIGHUP) manager.Stopping("stopping the " + ServerOf(running.target));
  }
}

// Of a server that has failed, or was killed.
Status ExplainEnd(const Running& running, int exit_status) {
  const std::string message =
      ServerOf(running.target) + " ended with exit status " + std::to_string(exit_status);
  const ActingAs acting(running.target.owner);
  const Result<UniqueFd> log = OpenForeignFile(running.run_dir.Log());
  if (!log.ok()) return Failed(message);
  const Result<std::string> tail = ReadTail(log->get(), 0);
  return Failed(message, tail.ok() ? QuoteLastLines("the server says", *tail) : "");
}

}  // namespace

Result<int> StartInForeground(const Arguments& arguments, const Output& output) {
  const auto manager = os::ServiceManager::FromEnvironment();
  const HeldSignals signals;
  const Result<Running> running = BringUp(arguments, signals, manager, output);
  if (!running.ok()) {
    if (signals.Pending() != 0) return 0;  // it was told to stop before it was up
    return running.status();
  }
  output.Confirm(running->report.document, running->report.text);
  manager.Ready(ServerOf(running->target) + " takes connections on port " +
                std::to_string(running->report.document.value("port", 0)));
  const int exit_status = StayWith(*running, signals, manager);
  RemoveServerGroup(running->target.branch.name);
  if (exit_status != 0) return ExplainEnd(*running, exit_status);
  const ActingAs acting(running->target.owner);
  VELAFS_TRY(ForgetTcpLogin(running->run_dir, running->login));
  return 0;
}

}  // namespace velafs::pgctl
