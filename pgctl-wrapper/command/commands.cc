#include "pgctl-wrapper/command/commands.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>

#include "pgctl-wrapper/command/inspect.h"
#include "pgctl-wrapper/command/reset.h"
#include "pgctl-wrapper/command/status.h"
#include "pgctl-wrapper/command/stop.h"
#include "pgctl-wrapper/connect/login.h"
#include "pgctl-wrapper/connect/tcp_login.h"
#include "pgctl-wrapper/data/data_dir.h"
#include "pgctl-wrapper/data/pg_version.h"
#include "pgctl-wrapper/pool/pool.h"
#include "pgctl-wrapper/pool/run.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/terminal.h"
#include "pgctl-wrapper/server/foreground.h"
#include "pgctl-wrapper/server/log_rotation.h"
#include "pgctl-wrapper/server/log_view.h"
#include "pgctl-wrapper/server/postmaster.h"
#include "pgctl-wrapper/server/registration.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server.h"
#include "pgctl-wrapper/server/server_programs.h"
#include "velafs/base/text.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

struct RunningTarget {
  Target target;
  ServerAddress address;
  PostmasterFile file;
};

// The target with its server, which must run.
Result<RunningTarget> OpenRunning(Session& session, const Arguments& arguments) {
  VELAFS_ASSIGN(Target target, OpenTarget(session, arguments.branch));
  VELAFS_ASSIGN(Found found, FindServerOf(session, target.branch));
  if (found.server && !found.server->lost) {
    VELAFS_ASSIGN(ServerAddress address, AddressOf(session, target.branch, target.owner));
    return RunningTarget{std::move(target), std::move(address), found.server->file};
  }
  return Failed("no server runs on branch " + Quoted(arguments.branch),
                "start one with velapg start " + arguments.branch);
}

Result<Connection> ConnectionTo(Session& session, const RunningTarget& running,
                                const Arguments& arguments) {
  return ConnectionFor(session, running.target, running.address, LoginOf(arguments));
}

// How `url` and `env` lead there: over TCP if that was asked for.
Result<Connection> AskedConnection(Session& session, const RunningTarget& running,
                                   const Arguments& arguments) {
  VELAFS_ASSIGN(Connection connection, ConnectionTo(session, running, arguments));
  VELAFS_TRY(CheckLogin(running.target, connection, arguments.start.pgbin));
  if (!arguments.over_tcp) return connection;
  const std::string name = running.target.branch.name;
  const std::string restart = "velapg restart " + name + " --tcp";
  const ActingAs acting(running.target.owner);
  if (!ListensToTcp(running.file)) {
    return Failed("the server of branch " + Quoted(name) + " does not listen on TCP", restart);
  }
  if (NetworkOf(running.file) != Network::kHost) {
    return Failed("the server of branch " + Quoted(name) + " has a localhost of its own",
                  "stop it, and start it with --tcp --network host");
  }
  const auto login = ReadTcpLogin(FindRunDir(session.store(), running.target.branch.id));
  if (!login || login->role != connection.user) {
    return Failed("role " + Quoted(connection.user) + " of branch " + Quoted(name) +
                      " has no password set by velapg",
                  restart + " --user " + connection.user);
  }
  connection.password = login->password;
  return connection;
}

std::string StartedText(const std::string& branch, const StartedServer& server,
                        const std::string& url) {
  return "server of branch " + Quoted(branch) + " runs: pid " + std::to_string(server.pid) +
         ", port " + std::to_string(server.port) + "\n" + url +
         (server.tcp ? "\nover TCP: velapg url " + branch + " --tcp" : "") +
         "\nnetwork: " + NetworkName(server.network) + "\n" +
         std::to_string(server.neutralised.size()) +
         " settings overridden; with --json, start says which and why\n";
}

// How far a server is to reach that nobody told: as the policy says, and if it takes the place of
// one that ran, no farther than that.
Result<Network> ChooseNetwork(Session& session, const std::string& branch,
                              const std::optional<Network>& before) {
  VELAFS_ASSIGN(const std::string policy, session.Policy(branch, "network"));
  Network network = Network::kHost;
  if (!policy.empty()) {  // a daemon of an earlier release does not know it
    VELAFS_ASSIGN(network, ParseNetwork(policy));
  }
  return std::min(network, before.value_or(Network::kHost));
}

// Whether a server listens to TCP that nobody told: as before, else as the policy says, unless its
// network has no TCP.
Result<bool> ChooseTcp(Session& session, const std::string& branch, const StartOptions& options,
                       const std::optional<Reach>& before, const Output& output) {
  if (options.overrides.as_is) return false;
  bool tcp = before && before->tcp;
  if (!before) {
    VELAFS_ASSIGN(const std::string policy, session.Policy(branch, "tcp"));
    tcp = policy == "on";
  }
  if (!tcp || options.network != Network::kIsolated) return tcp;
  output.Warn("the server does not listen on TCP: its network is isolated");
  return false;
}

Result<int> Start(const Arguments& arguments, const Output& output) {
  if (arguments.foreground) return StartInForeground(arguments, output);
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const Target target, OpenTarget(session, arguments.branch));
  VELAFS_ASSIGN(const StartReport started,
                StartTarget(session, target, arguments, std::nullopt, output));
  output.Confirm(started.document, started.text);
  return 0;
}

Result<int> Restart(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const Target target, OpenTarget(session, arguments.branch));
  VELAFS_ASSIGN(const Found found, FindServerOf(session, target.branch));
  const std::optional<Reach> before = ReachOf(found);
  if (found.server) {
    VELAFS_TRY(StopFound(session, target.branch, found, arguments, output));
  }
  VELAFS_ASSIGN(const StartReport started, StartTarget(session, target, arguments, before, output));
  output.Confirm(started.document, started.text);
  return 0;
}

Result<int> ShowUrl(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const RunningTarget running, OpenRunning(session, arguments));
  VELAFS_ASSIGN(const Connection connection, AskedConnection(session, running, arguments));
  const std::string url = arguments.as_jdbc ? JdbcUrl(connection) : Url(connection);
  output.Print({{"url", url}}, url + "\n");
  return 0;
}

Result<int> ShowEnvironment(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const RunningTarget running, OpenRunning(session, arguments));
  VELAFS_ASSIGN(const Connection connection, AskedConnection(session, running, arguments));
  json document = json::object();
  for (const auto& [name, value] : ConnectionVariables(connection)) document[name] = value;
  output.Print(document, ShellExports(connection));
  return 0;
}

Result<int> Psql(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const RunningTarget running, OpenRunning(session, arguments));
  VELAFS_ASSIGN(const Connection connection, ConnectionTo(session, running, arguments));
  VELAFS_TRY(CheckLogin(running.target, connection, arguments.start.pgbin));
  if (output.as_json()) {
    return UsageError("psql prints no JSON document", "let the query make one: json_agg");
  }
  const Owner& owner = running.target.owner;
  Command psql;
  psql.argv = {ClientProgramFor(running.target, arguments.start.pgbin, "psql")};
  const bool is_for_another = geteuid() == 0;
  if (is_for_another) psql.argv.push_back("-X");  // no psqlrc, which is the owner's to write
  psql.argv.insert(psql.argv.end(), arguments.after_dashes.begin(), arguments.after_dashes.end());
  psql.environment = WithConnection(EnvironmentOf(owner), connection);
  if (!is_for_another) return Execute(psql);
  psql.run_as = &owner;
  return RunOnOwnTerminal(std::move(psql));
}

Result<int> ShowCandidates(const Arguments& arguments, const Output&) {
  std::string lines;
  for (const std::string& word : CandidatesAfter(arguments.after_dashes)) lines += word + "\n";
  Output(/*as_json=*/false, /*quiet=*/false).Print({}, lines);
  return 0;
}

// The bytes put aside; 0 of a branch without a log, or whose log is not this user's.
Result<uint64_t> RotateLogOf(const Session& session, const Branch& branch) {
  const RunDir run_dir = FindRunDir(session.store(), branch.id);
  const std::optional<Owner> owner = OwnerOfDirectory(run_dir.path);
  if (!owner || (geteuid() != 0 && geteuid() != owner->uid)) return uint64_t{0};
  VELAFS_TRY(CheckNamespace(*owner));
  const ActingAs acting(*owner);
  return RotateLog(run_dir);
}

Result<int> RotateLogs(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  std::vector<Branch> branches;
  if (arguments.stop_all) {
    VELAFS_ASSIGN(branches, session.List(json::object()));
  } else {
    VELAFS_ASSIGN(Branch branch, session.Find(arguments.branch));
    branches.push_back(std::move(branch));
  }
  json rotated = json::array();
  std::string text;
  int exit_status = 0;
  for (const Branch& branch : branches) {
    const Result<uint64_t> bytes = RotateLogOf(session, branch);
    if (!bytes.ok()) {  // one user's log is nothing to the others
      output.Complain(bytes.status().WithContext("log of branch " + Quoted(branch.name)));
      exit_status = ExitStatus(Code::kFailed);
      continue;
    }
    if (*bytes == 0) continue;
    rotated.push_back({{"branch", branch.name}, {"bytes", *bytes}});
    text += "log of branch " + Quoted(branch.name) + " put aside: " + FormatSize(*bytes) + "\n";
  }
  output.Confirm({{"rotated", rotated}}, text.empty() ? "no log to rotate\n" : text);
  return exit_status;
}

Result<int> WriteManualNow(const Arguments& arguments, const Output&) {
  VELAFS_TRY(WriteManual(arguments.after_dashes));
  return 0;
}

Result<int> ShowLog(const Arguments& arguments, const Output& output) {
  if (arguments.rotate_log) return RotateLogs(arguments, output);
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const Branch branch, session.Find(arguments.branch));
  const RunDir run_dir = FindRunDir(session.store(), branch.id);
  const std::string log = run_dir.Log();
  // The directory's owner may have put there whatever he likes: it is read with his rights.
  const std::optional<Owner> owner = OwnerOfDirectory(run_dir.path);
  if (!owner) {
    return NotFound("branch " + Quoted(branch.name) + " has no server log",
                    "no server was started on it yet");
  }
  VELAFS_TRY(CheckNamespace(*owner));
  const ActingAs acting(*owner);
  Result<LogView> view = LogView::Open(log);
  if (view.status().error_number() == ENOENT) {
    return NotFound("branch " + Quoted(branch.name) + " has no server log",
                    "no server was started on it yet");
  }
  VELAFS_TRY(view.status());
  VELAFS_TRY(view->SkipToLast(arguments.log_lines));
  if (!output.as_json()) {
    VELAFS_TRY(arguments.follow_log ? view->Follow() : view->Show());
    return 0;
  }
  if (arguments.follow_log) return UsageError("--follow and --json do not go together");
  VELAFS_ASSIGN(const std::string text, view->ReadRest());
  output.Print({{"branch", branch.name}, {"path", log}, {"text", text}}, "");
  return 0;
}

}  // namespace

std::optional<Reach> ReachOf(const Found& found) {
  if (!found.server) return std::nullopt;
  const ActingAs acting(found.owner);
  return Reach{NetworkOf(found.server->file), ListensToTcp(found.server->file)};
}

Result<StartReport> StartTarget(Session& session, const Target& target, const Arguments& arguments,
                                const std::optional<Reach>& before, const Output& output,
                                const StartControl& control) {
  StartOptions options = arguments.start;
  if (!options.idle_stop) {
    VELAFS_ASSIGN(const std::string policy, session.Policy(target.branch.name, "idle_stop"));
    if (!policy.empty()) {
      VELAFS_ASSIGN(options.idle_stop, ParseDuration(policy));
    }
  }
  if (!options.network) {
    const auto network_before = before ? std::optional(before->network) : std::nullopt;
    VELAFS_ASSIGN(options.network, ChooseNetwork(session, target.branch.name, network_before));
  }
  if (!options.tcp) {
    VELAFS_ASSIGN(options.overrides.tcp,
                  ChooseTcp(session, target.branch.name, options, before, output));
  }
  if (options.overrides.tcp && options.tcp_role.empty()) {
    VELAFS_ASSIGN(options.tcp_role, session.Policy(target.branch.name, "default_user"));
  }
  VELAFS_ASSIGN(StartedServer server,
                StartServer(session, target.branch, target.owner, options, control));
  VELAFS_ASSIGN(
      const Connection connection,
      ConnectionFor(session, target, {server.socket_dir, server.port}, LoginOf(arguments)));
  // The user may be about to make them.
  const Status login = CheckLogin(target, connection, options.pgbin);
  if (!login.ok()) server.warnings.push_back(login.message() + "; " + login.hint());
  for (const std::string& warning : server.warnings) output.Warn(warning);
  const std::string url = Url(connection);
  return StartReport{server.pid,
                     {{"branch", target.branch.name},
                      {"pid", server.pid},
                      {"port", server.port},
                      {"socket_dir", server.socket_dir},
                      {"url", url},
                      {"data_dir", target.branch.data_dir},
                      {"network", NetworkName(server.network)},
                      {"tcp", server.tcp},
                      {"neutralised", OverridesToJson(server.neutralised)},
                      {"warnings", server.warnings}},
                     StartedText(target.branch.name, server, url)};
}

Result<Target> OpenTarget(Session& session, const std::string& branch) {
  Target target;
  VELAFS_ASSIGN(target.branch, session.FindMounted(branch));
  VELAFS_ASSIGN(target.owner, OwnerOfData(target.branch.data_dir));
  VELAFS_TRY(CheckMayActAs(target.owner, branch));
  VELAFS_TRY(CheckWayTo(target.branch.data_dir, target.owner));
  return target;
}

Result<Found> FindServerOf(Session& session, const Branch& branch) {
  Found found;
  if (!branch.data_dir.empty()) {
    VELAFS_ASSIGN(const Target target, OpenTarget(session, branch.name));
    found.owner = target.owner;
    const ActingAs acting(found.owner);
    VELAFS_ASSIGN(found.server, FindServer(branch.data_dir, target.branch.server_pid));
    if (found.server) {
      Result<ServerAddress> address = AddressOf(session, target.branch, target.owner);
      if (address.ok()) found.address = *std::move(address);
      return found;
    }
  }
  const std::string socket_dir = FindRunDir(session.store(), branch.id).socket_dir;
  const std::optional<Owner> owner = OwnerOfDirectory(socket_dir);
  if (!owner || !CheckMayActAs(*owner, branch.name).ok()) return found;
  found.owner = *owner;
  const ActingAs acting(found.owner);
  found.server = FindLostServer(socket_dir);
  return found;
}

std::string ClientProgramFor(const Target& target, const std::string& pgbin,
                             const std::string& name) {
  const Result<int> version = ReadPgVersion(target.branch.data_dir);
  if (!version.ok()) return name;
  const auto programs = FindServerPrograms(*version, pgbin, target.branch.name);
  if (!programs.ok()) return name;
  const std::string path = programs->Path(name);
  return access(path.c_str(), X_OK) == 0 ? path : name;
}

Result<int> RunCommand(const Arguments& arguments, const Output& output) {
  using Function = Result<int> (*)(const Arguments&, const Output&);
  static const std::map<std::string, Function> kCommands = {
      {"start", Start},
      {"stop", StopBranches},
      {"restart", Restart},
      {"status", ShowStatus},
      {"psql", Psql},
      {"url", ShowUrl},
      {"env", ShowEnvironment},
      {"logs", ShowLog},
      {"run", RunOnClone},
      {"pool", MakePool},
      {"pool list", ListPools},
      {"pool refresh", RefreshPool},
      {"pool stop", StopPool},
      {"pool fill", FillPoolNow},
      {"take", Take},
      {"release", Release},
      {"renew", Renew},
      {"reset", ResetBranch},
      {"inspect", Inspect},
      {"candidates", ShowCandidates},
      {"register", RegisterCluster},
      {"unregister", UnregisterCluster},
      {"manual", WriteManualNow},
  };
  return kCommands.at(arguments.command)(arguments, output);
}

}  // namespace velafs::pgctl
