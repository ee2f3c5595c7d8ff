#include "pgctl-wrapper/status.h"

#include <chrono>
#include <ctime>
#include <optional>

#include "pgctl-wrapper/clients.h"
#include "pgctl-wrapper/columns.h"
#include "pgctl-wrapper/commands.h"
#include "pgctl-wrapper/idle_stop.h"
#include "pgctl-wrapper/postmaster.h"
#include "pgctl-wrapper/process.h"
#include "pgctl-wrapper/run_dir.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

constexpr int kStoppedStatus = 3;  // as pg_ctl's

// What there is to say of a server that runs.
struct ServerStatus {
  Target target;
  PostmasterFile file;
  std::string state;
  std::chrono::seconds uptime{0};
  size_t connections = 0;
  std::optional<std::chrono::seconds> idle_stop;
};

// Whether it takes connections: postmaster.pid still says so of a server that is recovering from
// the death of a backend.
std::string StateOf(const Target& target, const PostmasterFile& file, const Arguments& arguments) {
  if (!file.IsUp()) return file.status.empty() ? "starting" : file.status;
  Command probe;
  probe.argv = {ClientProgramFor(target, arguments.start.pgbin, "pg_isready"),
                "-q",
                "-h",
                file.socket_dir,
                "-p",
                std::to_string(file.port)};
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
  const size_t connections = CountClients(file);  // before the probe, which is one
  ServerStatus status{target,
                      file,
                      StateOf(target, file, arguments),
                      std::chrono::seconds(std::time(nullptr) - file.started_at),
                      connections,
                      std::nullopt};
  const ActingAs acting(found.owner);
  const auto idle_stop = ReadIdleStop(FindRunDir(session.store(), branch.id));
  if (idle_stop && idle_stop->is_watched) status.idle_stop = idle_stop->after;
  return status;
}

json StatusToJson(const ServerStatus& status, const Arguments& arguments) {
  const PostmasterFile& file = status.file;
  const Connection connection = ConnectionTo(file.socket_dir, file.port, status.target, arguments);
  json document = {{"branch", status.target.branch.name},
                   {"state", status.state},
                   {"pid", file.pid},
                   {"port", file.port},
                   {"socket_dir", file.socket_dir},
                   {"url", Url(connection)},
                   {"data_dir", status.target.branch.data_dir},
                   {"started_at", FormatTime(file.started_at * 1'000'000'000)},
                   {"uptime_seconds", status.uptime.count()},
                   {"connections", status.connections},
                   {"idle_stop_seconds", nullptr}};
  if (status.idle_stop) document["idle_stop_seconds"] = status.idle_stop->count();
  return document;
}

std::string StatusText(const ServerStatus& status) {
  std::string text = "branch " + status.target.branch.name + ": " + status.state + ", pid " +
                     std::to_string(status.file.pid) + ", port " +
                     std::to_string(status.file.port) + ", up " + FormatDuration(status.uptime) +
                     ", " + std::to_string(status.connections) + " connections";
  if (status.idle_stop) text += ", stops after " + FormatDuration(*status.idle_stop) + " without";
  return text + "\n";
}

int SayOrphaned(const Branch& branch, pid_t pid, const Output& output) {
  output.Print({{"branch", branch.name}, {"state", "orphaned"}, {"pid", pid}},
               "branch " + branch.name + ": orphaned, pid " + std::to_string(pid) +
                   " is a server without its mount; velapg stop or start ends it\n");
  return kStoppedStatus;
}

int SayStopped(const Session& session, const Branch& branch, const Output& output) {
  const auto idle_stop = ReadIdleStop(FindRunDir(session.store(), branch.id));
  const bool was_idle = idle_stop && idle_stop->has_stopped;
  std::string text = "branch " + branch.name + ": stopped";
  if (was_idle) text += ", after " + FormatDuration(idle_stop->after) + " without a connection";
  output.Print({{"branch", branch.name}, {"state", "stopped"}, {"was_idle", was_idle}},
               text + "\n");
  return kStoppedStatus;
}

// A server that has lost its mount. Does not open the branch.
std::optional<pid_t> FindOrphan(const Session& session, const Branch& branch) {
  const std::string socket_dir = FindRunDir(session.store(), branch.id).socket_dir;
  const std::optional<Owner> owner = OwnerOfDirectory(socket_dir);
  if (!owner || !CheckMayActAs(*owner, branch.name).ok()) return std::nullopt;
  const ActingAs acting(*owner);
  const std::optional<RunningServer> lost = FindLostServer(socket_dir);
  return lost ? std::optional(lost->file.pid) : std::nullopt;
}

Result<int> ShowAll(Session& session, const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(const std::vector<Branch> branches, session.List(json::object()));
  json servers = json::array();
  std::vector<std::vector<std::string>> rows = {
      {"BRANCH", "STATE", "PORT", "PID", "UPTIME", "CONNECTIONS", "IDLE STOP"}};
  for (const Branch& branch : branches) {
    if (!branch.server_pid) {
      if (const auto orphan = FindOrphan(session, branch)) {
        servers.push_back({{"branch", branch.name}, {"state", "orphaned"}, {"pid", *orphan}});
        rows.push_back({branch.name, "orphaned", "-", std::to_string(*orphan), "-", "-", "-"});
      }
      continue;
    }
    VELAFS_ASSIGN(const Found found, FindServerOf(session, branch));
    const std::optional<ServerStatus> status = StatusOf(session, branch, found, arguments);
    if (!status) continue;
    servers.push_back(StatusToJson(*status, arguments));
    rows.push_back({branch.name, status->state, std::to_string(status->file.port),
                    std::to_string(status->file.pid), FormatDuration(status->uptime),
                    std::to_string(status->connections),
                    status->idle_stop ? FormatDuration(*status->idle_stop) : "-"});
  }
  output.Print({{"servers", servers}}, servers.empty() ? "no server runs\n" : AlignColumns(rows));
  return 0;
}

}  // namespace

Result<int> ShowStatus(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  if (arguments.branch.empty()) return ShowAll(session, arguments, output);
  VELAFS_ASSIGN(const Branch branch, session.Find(arguments.branch));
  VELAFS_ASSIGN(const Found found, FindServerOf(session, branch));
  if (!found.server) return SayStopped(session, branch, output);
  if (found.server->lost) return SayOrphaned(branch, found.server->file.pid, output);
  const std::optional<ServerStatus> status = StatusOf(session, branch, found, arguments);
  output.Print(StatusToJson(*status, arguments), StatusText(*status));
  return 0;
}

}  // namespace velafs::pgctl
