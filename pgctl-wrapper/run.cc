#include "pgctl-wrapper/run.h"

#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "pgctl-wrapper/commands.h"
#include "pgctl-wrapper/held_signals.h"
#include "pgctl-wrapper/process.h"
#include "pgctl-wrapper/run_supervisor.h"
#include "pgctl-wrapper/server.h"
#include "velafs/base/name.h"

namespace velafs::pgctl {
namespace {

constexpr size_t kLongestSourcePart = 48;  // leaves room within a name's 63 characters
constexpr int kNotExecutable = 126;
constexpr int kNoSuchCommand = 127;

// Makes the clone. The supervisor knows at any instant whether there may be one to delete.
Status MakeClone(Session& session, const std::string& source, const std::string& name,
                 RunSupervisor& supervisor) {
  Result<Branch> taken = session.Find(name);
  if (taken.ok()) {
    return Exists("cannot clone \"" + source + "\" to \"" + name + "\": branch \"" + name +
                  "\" exists");
  }
  if (taken.status().code() != Code::kNotFound) return std::move(taken).status();
  supervisor.Cloning();
  Status cloned = session.Call("clone", {{"source", source}, {"name", name}}).status();
  if (cloned.ok()) {
    supervisor.Cloned();
  } else if (cloned.code() != Code::kUnreachable) {  // the daemon has answered
    supervisor.NotCloned();
  }
  return cloned;
}

// Runs the command against the started server.
int RunUserCommand(const Arguments& arguments, const Connection& connection,
                   const std::string& branch, HeldSignals& signals, const Output& output) {
  Command command;
  command.argv = arguments.after_dashes;
  command.environment = WithConnection(CallerEnvironment(), connection);
  command.environment["VELAFS_BRANCH"] = branch;
  command.signal_when_parent_dies = SIGTERM;
  const Result<pid_t> pid = Spawn(command);
  if (pid.ok()) return signals.WaitFor(*pid);
  (void)output.Fail(pid.status());
  return pid.status().error_number() == ENOENT ? kNoSuchCommand : kNotExecutable;
}

// All between the supervisor's beginning and its end.
Result<int> RunSupervised(const Arguments& arguments, const std::string& name,
                          RunSupervisor& supervisor, HeldSignals& signals, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_TRY(MakeClone(session, arguments.branch, name, supervisor));
  VELAFS_ASSIGN(const Target target, OpenTarget(session, name));
  StartControl control;
  control.is_cancelled = [&signals] { return signals.Pending() != 0; };
  control.dies_with_parent = true;
  VELAFS_ASSIGN(const StartedServer server,
                StartServer(session, target.branch, target.owner, arguments.start, control));
  for (const std::string& warning : server.warnings) output.Warn(warning);
  if (signals.Pending() != 0) return 128 + signals.Pending();
  const Connection connection =
      ConnectionTo(server.socket_dir, server.port, target.owner, arguments);
  return RunUserCommand(arguments, connection, name, signals, output);
}

}  // namespace

std::string RunCloneName(const std::string& source) {
  std::string part = source.substr(0, kLongestSourcePart);
  std::replace(part.begin(), part.end(), '@', '-');
  uint32_t random = 0;
  VELAFS_CHECK(getrandom(&random, sizeof random, 0) == sizeof random);
  char hex[9];
  std::snprintf(hex, sizeof hex, "%08x", random);
  return "run-" + part + "-" + hex;
}

Result<int> RunOnClone(const Arguments& arguments, const Output& output) {
  VELAFS_TRY(ParseSourceRef(arguments.branch).status());
  const std::string name =
      arguments.run_name.empty() ? RunCloneName(arguments.branch) : arguments.run_name;
  VELAFS_TRY(CheckName("branch", name));

  HeldSignals signals;
  VELAFS_ASSIGN(RunSupervisor supervisor,
                RunSupervisor::Start({arguments.store, name, arguments.keep}));
  Result<int> exit_status = RunSupervised(arguments, name, supervisor, signals, output);
  supervisor.Finish();
  while (waitpid(-1, nullptr, WNOHANG) > 0) {  // the server was our child: leave no zombie behind
  }
  if (!exit_status.ok() && signals.Pending() != 0) return 128 + signals.Pending();
  return exit_status;
}

}  // namespace velafs::pgctl
