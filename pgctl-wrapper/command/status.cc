#include "pgctl-wrapper/command/status.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>

#include "pgctl-wrapper/command/columns.h"
#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/selection.h"
#include "pgctl-wrapper/connect/clients.h"
#include "pgctl-wrapper/connect/login.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/idle_stop.h"
#include "pgctl-wrapper/server/postmaster.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server_group.h"
#include "velafs/base/cpus.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

constexpr int kStoppedStatus = 3;  // as pg_ctl's

// What there is to say of a server that runs.
struct ServerStatus {
  Target target;
  PostmasterFile file;
  std::optional<ServerAddress> address;
  std::string state;
  std::chrono::seconds uptime{0};
  size_t connections = 0;
  Network network = Network::kHost;
  bool tcp = false;
  std::optional<std::chrono::seconds> idle_stop;
  ServerLimits limits;
};

std::chrono::seconds UptimeOf(const PostmasterFile& file) {
  const int64_t now = std::time(nullptr);
  return std::chrono::seconds(file.started_at == 0 ? 0
                                                   : std::max<int64_t>(now - file.started_at, 0));
}

// The words that a server writes.
bool IsKnownState(const std::string& word) {
  return word == "starting" || word == "stopping" || word == "ready" || word == "standby";
}

// Whether it takes connections: postmaster.pid still says so of a server that is recovering from
// the death of a backend.
std::string StateOf(const Target& target, const PostmasterFile& file,
                    const std::optional<ServerAddress>& address, const Arguments& arguments) {
  if (!file.IsUp()) return IsKnownState(file.status) ? file.status : "starting";
  if (!address) return "running";
  Command probe;
  probe.argv = {ClientProgramFor(target, arguments.start.pgbin, "pg_isready"),
                "-q",
                "-h",
                address->socket_dir,
                "-p",
                std::to_string(address->port)};
  probe.environment = ServerEnvironment(target.owner);
  probe.run_as = &target.owner;
  const Result<Captured> answer = Capture(std::move(probe));
  constexpr int kRejects = 1;
  constexpr int kNoAnswer = 2;
  if (!answer.ok()) return "running";  // there is no pg_isready
  if (answer->exit_status == kRejects && file.status == "ready") return "recovering";
  return answer->exit_status == kNoAnswer ? "not answering" : "running";
}

// Nothing when no server runs there that is good for anything.
std::optional<ServerStatus> StatusOf(const Session& session, const Branch& branch,
                                     const Found& found, const Arguments& arguments) {
  if (!found.server || found.server->lost) return std::nullopt;
  const PostmasterFile& file = found.server->file;
  const Target target{branch, found.owner};
  // Before the probe, which is one.
  const size_t connections = found.address ? CountClients(file.pid, *found.address) : 0;
  ServerStatus status{target,         file,
                      found.address,  StateOf(target, file, found.address, arguments),
                      UptimeOf(file), connections,
                      Network::kHost, ListensToTcp(file),
                      std::nullopt,   LimitsOfProcess(file.pid)};
  const ActingAs acting(found.owner);
  status.network = NetworkOf(file);
  const auto idle_stop = ReadIdleStop(FindRunDir(session.store(), branch.id));
  if (idle_stop && idle_stop->is_watched) status.idle_stop = idle_stop->after;
  return status;
}

Result<json> StatusToJson(Session& session, const ServerStatus& status,
                          const Arguments& arguments) {
  const PostmasterFile& file = status.file;
  json document = {{"branch", status.target.branch.name},
                   {"state", status.state},
                   {"pid", file.pid},
                   {"port", nullptr},
                   {"socket_dir", nullptr},
                   {"url", nullptr},
                   {"data_dir", status.target.branch.data_dir},
                   {"started_at", FormatTime(file.started_at * 1'000'000'000)},
                   {"uptime_seconds", status.uptime.count()},
                   {"connections", status.connections},
                   {"network", NetworkName(status.network)},
                   {"tcp", status.tcp},
                   {"idle_stop_seconds", nullptr},
                   {"cpus", nullptr},
                   {"memory_bytes", nullptr}};
  const ServerLimits& limits = status.limits;
  if (limits.cpu_percent != 0) {
    document["cpus"] = static_cast<double>(limits.cpu_percent) / 100;
  }
  if (limits.memory_bytes != 0) document["memory_bytes"] = limits.memory_bytes;
  if (status.address) {
    document["port"] = status.address->port;
    document["socket_dir"] = status.address->socket_dir;
    LoginChoice choice = LoginOf(arguments);
    choice.asks_nobody = true;  // it would wait for the server of each branch
    VELAFS_ASSIGN(const Connection connection,
                  ConnectionFor(session, status.target, *status.address, choice));
    document["url"] = Url(connection);
  }
  if (status.idle_stop) document["idle_stop_seconds"] = status.idle_stop->count();
  return document;
}

std::string PortText(const ServerStatus& status) {
  return status.address ? std::to_string(status.address->port) : "-";
}

std::string StatusText(const ServerStatus& status) {
  std::string text = "branch " + status.target.branch.name + ": " + status.state + ", pid " +
                     std::to_string(status.file.pid) + ", port " + PortText(status) + ", up " +
                     FormatDuration(status.uptime) + ", " + std::to_string(status.connections) +
                     " connections, network " + NetworkName(status.network);
  if (status.tcp) text += ", TCP";
  if (status.idle_stop) text += ", stops after " + FormatDuration(*status.idle_stop) + " without";
  const ServerLimits& limits = status.limits;
  if (limits.cpu_percent != 0)
    text += ", at most " + FormatCpus(limits.cpu_percent) + " processors";
  if (limits.memory_bytes != 0)
    text += ", at most " + FormatSize(limits.memory_bytes) + " of memory";
  return text + "\n";
}

int SayOrphaned(const Branch& branch, pid_t pid, const Output& output) {
  output.Print({{"branch", branch.name}, {"state", "orphaned"}, {"pid", pid}},
               "branch " + branch.name + ": orphaned, pid " + std::to_string(pid) +
                   " is a server without its mount; velapg stop or start ends it\n");
  return kStoppedStatus;
}

// With the rights of the directory's user, who may have put there whatever he likes.
std::optional<IdleStop> IdleStopOf(const Session& session, const Branch& branch) {
  const RunDir run_dir = FindRunDir(session.store(), branch.id);
  const std::optional<Owner> owner = OwnerOfDirectory(run_dir.path);
  if (!owner || !CheckNamespace(*owner).ok()) return std::nullopt;
  const ActingAs acting(*owner);
  return ReadIdleStop(run_dir);
}

int SayStopped(const Session& session, const Branch& branch, const Output& output) {
  const auto idle_stop = IdleStopOf(session, branch);
  const bool was_idle = idle_stop && idle_stop->has_stopped;
  std::string text = "branch " + branch.name + ": stopped";
  if (was_idle) text += ", after " + FormatDuration(idle_stop->after) + " without a connection";
  output.Print({{"branch", branch.name}, {"state", "stopped"}, {"was_idle", was_idle}},
               text + "\n");
  return kStoppedStatus;
}

Result<int> ShowAll(Session& session, const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(const std::vector<Branch> branches, SelectBranches(session, arguments));
  json servers = json::array();
  std::vector<std::vector<std::string>> rows = {
      {"BRANCH", "STATE", "PORT", "PID", "UPTIME", "CONNECTIONS", "NETWORK", "IDLE STOP"}};
  for (const Branch& listed : branches) {
    // A list does not tell whose the data is, and so not which role to connect as.
    const Result<Branch> shown = session.Find(listed.name);
    if (shown.status().code() == Code::kNotFound) continue;  // gone by now
    VELAFS_TRY(shown.status());
    const Branch& branch = *shown;
    if (!branch.server_pid) {
      if (const auto orphan = FindOrphan(session, branch)) {
        servers.push_back({{"branch", branch.name}, {"state", "orphaned"}, {"pid", *orphan}});
        rows.push_back({branch.name, "orphaned", "-", std::to_string(*orphan), "-", "-", "-", "-"});
      }
      continue;
    }
    VELAFS_ASSIGN(const Found found, FindServerOf(session, branch));
    const std::optional<ServerStatus> status = StatusOf(session, branch, found, arguments);
    if (!status) continue;
    VELAFS_ASSIGN(json server, StatusToJson(session, *status, arguments));
    servers.push_back(std::move(server));
    rows.push_back({branch.name, status->state, PortText(*status), std::to_string(status->file.pid),
                    FormatDuration(status->uptime), std::to_string(status->connections),
                    NetworkName(status->network),
                    status->idle_stop ? FormatDuration(*status->idle_stop) : "-"});
  }
  output.Print({{"servers", servers}}, servers.empty() ? "no server runs\n" : AlignColumns(rows));
  return 0;
}

}  // namespace

Result<int> ShowStatus(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  if (!IsOneBranch(arguments)) return ShowAll(session, arguments, output);
  VELAFS_ASSIGN(const Branch branch, session.Find(arguments.branches.front()));
  VELAFS_ASSIGN(const Found found, FindServerOf(session, branch));
  if (!found.server) return SayStopped(session, branch, output);
  if (found.server->lost) return SayOrphaned(branch, found.server->file.pid, output);
  const std::optional<ServerStatus> status = StatusOf(session, branch, found, arguments);
  VELAFS_ASSIGN(const json document, StatusToJson(session, *status, arguments));
  output.Print(document, StatusText(*status));
  return 0;
}

}  // namespace velafs::pgctl
