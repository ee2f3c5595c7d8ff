#include "pgctl-wrapper/pool/run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <optional>

#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/connect/login.h"
#include "pgctl-wrapper/pool/run_supervisor.h"
#include "pgctl-wrapper/process/held_signals.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/unique_fd.h"
#include "pgctl-wrapper/process/workers.h"
#include "pgctl-wrapper/server/clone_user.h"
#include "pgctl-wrapper/server/server.h"
#include "velafs/base/name.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

constexpr size_t kLongestSourcePart = 44;  // leaves room within a name's 63 characters
constexpr int kNotExecutable = 126;
constexpr int kNoSuchCommand = 127;

// Makes the clone; one that nobody is to keep need not survive a crash. One that is isolated stays
// so at later starts. The supervisor knows at any
// instant whether there may be one to delete.
Status MakeClone(Session& session, const Arguments& arguments, const std::string& name, bool keep,
                 bool is_isolated, RunSupervisor& supervisor) {
  const std::string& source = arguments.branch;
  Result<Branch> taken = session.Find(name);
  if (taken.ok()) {
    return Exists("cannot clone \"" + source + "\" to \"" + name + "\": branch \"" + name +
                  "\" exists");
  }
  if (taken.status().code() != Code::kNotFound) return std::move(taken).status();
  VELAFS_ASSIGN(const std::optional<std::string> user,
                UserOfClone(session, source, arguments.as_user));
  json request = {{"source", source}, {"name", name}, {"ephemeral", !keep}};
  if (user) request["as_user"] = *user;
  if (is_isolated) request["isolated"] = true;
  if (!keep) {
    VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
    VELAFS_ASSIGN(const std::chrono::seconds lease, RunLease(session, ref.branch));
    request["ttl"] = std::to_string(lease.count()) + "s";
  }
  supervisor.Cloning();
  Status cloned = session.Call("clone", request).status();
  if (cloned.ok()) {
    supervisor.Cloned();
  } else if (cloned.code() != Code::kUnreachable) {  // the daemon has answered
    supervisor.NotCloned();
  }
  return cloned;
}

// Runs the command against the started server.
int RunUserCommand(const Arguments& arguments, const Connection& connection, size_t worker,
                   const std::string& branch, HeldSignals& signals, const Output& output) {
  Command command;
  command.argv = arguments.after_dashes;
  command.environment = WithConnection(CallerEnvironment(), connection);
  command.environment["VELAFS_BRANCH"] = branch;
  command.environment["VELAFS_WORKER"] = std::to_string(worker);
  command.environment["VELAFS_WORKERS"] = std::to_string(arguments.workers);
  command.signal_when_parent_dies = SIGTERM;
  const Result<pid_t> pid = Spawn(command);
  if (pid.ok()) return signals.WaitFor(*pid);
  (void)output.Fail(pid.status());
  return pid.status().error_number() == ENOENT ? kNoSuchCommand : kNotExecutable;
}

// All between the supervisor's beginning and its end.
Result<int> RunSupervised(const Arguments& arguments, const std::string& name,
                          RunSupervisor& supervisor, HeldSignals& signals, const Output& output,
                          const UseServer& use) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  const bool keeps_isolated = arguments.keep && IsIsolated(arguments.start.network);
  VELAFS_TRY(MakeClone(session, arguments, name, arguments.keep, keeps_isolated, supervisor));
  VELAFS_ASSIGN(const Target target, OpenTarget(session, name));
  StartOptions start = arguments.start;
  if (start.overrides.tcp && start.tcp_role.empty() && !arguments.superuser) {
    VELAFS_ASSIGN(start.tcp_role, session.Policy(arguments.policies_of, "default_user"));
  }
  StartControl control;
  control.is_cancelled = [&signals] { return signals.Pending() != 0; };
  control.dies_with_parent = true;
  VELAFS_ASSIGN(const StartedServer server,
                StartServer(session, target.branch, target.owner, start, control));
  for (const std::string& warning : server.warnings) output.Warn(warning);
  if (signals.Pending() != 0) return 128 + signals.Pending();
  VELAFS_ASSIGN(
      Connection connection,
      ConnectionFor(session, target, {server.socket_dir, server.port}, LoginOf(arguments)));
  // The command may be about to make them.
  const Status login = CheckLogin(target, connection, arguments.start.pgbin);
  if (!login.ok()) output.Warn(login.message() + "; " + login.hint());
  connection.password = server.tcp_password;
  return use(target, connection);
}

Result<int> RunOn(const Arguments& arguments, const std::string& name, HeldSignals& signals,
                  const Output& output, const UseServer& use) {
  VELAFS_TRY(CheckName("branch", name));
  VELAFS_ASSIGN(RunSupervisor supervisor,
                RunSupervisor::Start({arguments.store, name, arguments.keep}));
  Result<int> exit_status = RunSupervised(arguments, name, supervisor, signals, output, use);
  supervisor.Finish();
  while (waitpid(-1, nullptr, WNOHANG) > 0) {  // the server was our child: leave no zombie behind
  }
  if (!exit_status.ok() && signals.Pending() != 0) return 128 + signals.Pending();
  return exit_status;
}

// One worker: a clone, a server, a command.
Result<int> RunWorker(const Arguments& arguments, size_t worker, const std::string& name,
                      const Output& output) {
  HeldSignals signals;
  return RunOn(arguments, name, signals, output,
               [&](const Target&, const Connection& connection) -> Result<int> {
                 return RunUserCommand(arguments, connection, worker, name, signals, output);
               });
}

// Starts the workers on clones of the clone `base`, and waits for them.
Result<int> RunWorkers(Arguments arguments, const std::string& base, const HeldSignals& signals) {
  if (signals.Pending() != 0) return 128 + signals.Pending();
  const std::string names = arguments.run_name.empty() ? base : arguments.run_name;
  arguments.branch = base;
  Workers workers;
  for (size_t i = 0; i < arguments.workers; ++i) {
    const std::string number = std::to_string(i);
    VELAFS_TRY(workers.Start(arguments.no_prefix ? "" : "[" + number + "] ", [&] {
      const Output output(/*as_json=*/false, arguments.quiet);  // one of many: no document
      const Result<int> ended = RunWorker(arguments, i, names + "-" + number, output);
      return ended.ok() ? *ended : output.Fail(ended.status());
    }));
  }
  // The terminal sends a signal to those there are. Here it may have come between two starts.
  if (const int early = signals.Pending()) workers.Signal(early);
  return workers.Wait(signals);
}

// The workers' clones are of a clone that nobody changes: one freeze of the source for all.
Result<int> RunParallel(const Arguments& arguments) {
  const std::string base = CloneName("run", arguments.branch);
  const HeldSignals signals;
  VELAFS_ASSIGN(RunSupervisor supervisor, RunSupervisor::Start({arguments.store, base}));
  const auto make_base = [&]() -> Status {
    VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
    VELAFS_TRY(MakeClone(session, arguments, base, false, false, supervisor));
    return OpenTarget(session, base).status();  // which also mounts the store
  };
  const Status made = make_base();
  Result<int> exit_status = made.ok() ? RunWorkers(arguments, base, signals) : Result<int>(made);
  supervisor.Finish();
  return exit_status;
}

// While it lives, what this process and its children write to standard output goes to standard
// error: under --json the document is alone on the former.
class StdoutAside {
 public:
  StdoutAside() : kept_(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)) {
    dup2(STDERR_FILENO, STDOUT_FILENO);
  }
  ~StdoutAside() { dup2(kept_.get(), STDOUT_FILENO); }
  StdoutAside(const StdoutAside&) = delete;
  StdoutAside& operator=(const StdoutAside&) = delete;

 private:
  const UniqueFd kept_;
};

}  // namespace

std::string CloneName(const std::string& use, const std::string& source) {
  std::string part = source.substr(0, kLongestSourcePart);
  std::replace(part.begin(), part.end(), '@', '-');
  uint32_t random = 0;
  VELAFS_CHECK(getrandom(&random, sizeof random, 0) == sizeof random);
  char hex[9];
  std::snprintf(hex, sizeof hex, "%08x", random);
  return use + "-" + part + "-" + hex;
}

Result<int> RunOnClone(const Arguments& given, const Output& output) {
  VELAFS_ASSIGN(const SourceRef source, ParseSourceRef(given.branch));
  Arguments arguments = given;
  arguments.policies_of = source.branch;
  const std::string name =
      arguments.run_name.empty() ? CloneName("run", arguments.branch) : arguments.run_name;
  const auto run = [&](const Output& messages) {
    return arguments.workers > 1 ? RunParallel(arguments) : RunWorker(arguments, 0, name, messages);
  };
  if (!output.as_json()) return run(output);
  Result<int> exit_status = [&] {
    const StdoutAside aside;
    return run(Output(/*as_json=*/false, arguments.quiet));
  }();
  if (exit_status.ok()) {
    output.Print({{"source", arguments.branch}, {"exit_status", *exit_status}}, "");
  }
  return exit_status;
}

Result<int> OnThrowAwayClone(const Arguments& arguments, const Output& output,
                             const UseServer& use) {
  VELAFS_TRY(ParseSourceRef(arguments.branch).status());
  HeldSignals signals;
  return RunOn(arguments, CloneName("look", arguments.branch), signals, output, use);
}

}  // namespace velafs::pgctl
