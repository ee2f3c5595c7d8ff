#include "pgctl-wrapper/server/registration.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <sstream>

#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/stop.h"
#include "pgctl-wrapper/data/pg_version.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/cluster_files.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "velafs/base/text.h"
#include "velafs/client.h"

namespace velafs::pgctl {
namespace {

using std::string;

constexpr char kStoreKey[] = "velafs_store";
constexpr char kBranchKey[] = "velafs_branch";
constexpr char kDefaultStore[] = "/var/lib/velafs";

string Line(const string& key, const string& value) { return key + " = '" + value + "'\n"; }

// The value of "KEY = 'VALUE'" on a line of its own; empty if there is none.
string ValueOf(const string& text, const string& key) {
  std::istringstream lines(text);
  const string begin = key + " = '";
  for (string line; std::getline(lines, line);) {
    if (line.starts_with(begin) && line.ends_with('\'') && line.size() > begin.size()) {
      return line.substr(begin.size(), line.size() - begin.size() - 1);
    }
  }
  return "";
}

Status CheckMayRegister() {
  if (geteuid() != 0) {
    return Refused("only root can register clusters", "run velapg as root");
  }
  if (access("/usr/bin/pg_ctlcluster", X_OK) == 0) return {};
  return Refused("postgresql-common is not installed", "apt install postgresql-common");
}

string ProgramPath() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "/usr/bin/velapg" : self.string();
}

// The server has run once in this life of the branch, so that nothing is left to prepare, and the
// branch has its port and its directory.
Status StartOnce(Session& session, const Target& target, const Arguments& arguments,
                 const Output& output) {
  VELAFS_ASSIGN(const Found running, FindServerOf(session, target.branch));
  if (running.server) return {};
  VELAFS_TRY(StartTarget(session, target, arguments, std::nullopt, output).status());
  VELAFS_ASSIGN(const Branch branch, session.FindMounted(target.branch.name));
  VELAFS_ASSIGN(const Found started, FindServerOf(session, branch));
  return started.server ? StopFound(session, branch, started, arguments, output) : Status();
}

// What is known of the cluster before the branch has had a server. Exists if it, or the branch, is
// taken.
Result<Registration> NameCluster(const Session& session, const Branch& branch,
                                 const string& cluster) {
  Registration it;
  VELAFS_ASSIGN(const int version, ReadPgVersion(branch.data_dir));
  it.store = session.store();
  it.branch = branch.name;
  it.version = std::to_string(version);
  it.cluster = cluster;
  it.data_dir = branch.data_dir;
  it.velapg = ProgramPath();
  for (const string& path : {it.store, it.data_dir, it.velapg}) VELAFS_TRY(CheckShellPath(path));
  VELAFS_TRY(CheckClusterFree(it));
  for (const Registration& other : FindClusters(it.store, it.branch)) {
    if (other.version == it.version && other.cluster == it.cluster) continue;
    return Exists(
        "branch " + Quoted(it.branch) + " is cluster " + other.version + " " + other.cluster,
        "velapg unregister " + it.branch + " takes that back");
  }
  return it;
}

bool SystemdRuns() { return access("/run/systemd/system", F_OK) == 0; }

// Without systemd pg_ctlcluster starts it as the data's owner.
void WarnIfOwnerIsShutOut(const Registration& it, const Target& target, const Output& output) {
  if (SystemdRuns()) return;
  const Owner& owner = target.owner;
  Command ask;
  ask.argv = {it.velapg, "--store", it.store, "--quiet", "logs", it.branch, "--lines", "0"};
  ask.environment = EnvironmentOf(owner);
  ask.run_as = &owner;
  const Result<Captured> asked = Capture(std::move(ask));
  const bool may_use_store = asked.ok() && asked->exit_status == 0;
  if (may_use_store && target.branch.owner == owner.name) return;
  output.Warn("without systemd pg_ctlcluster cannot start it: user " + Quoted(owner.name) +
              " may not use the store or the branch; to allow that: velafs policy set --of-store " +
              "user_group=GROUP && velafs chown " + it.branch + " " + owner.name);
}

Status ReloadSystemd() {
  if (!SystemdRuns()) return {};
  Command reload;
  reload.argv = {"systemctl", "daemon-reload"};
  VELAFS_ASSIGN(const Captured captured, Capture(std::move(reload)));
  return captured.exit_status == 0 ? Status() : Failed("systemctl daemon-reload failed");
}

}  // namespace

Status CheckClusterName(const string& name) {
  constexpr size_t kLongest = 63;
  const auto is_allowed = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  };
  if (!name.empty() && name.size() <= kLongest &&
      std::isalnum(static_cast<unsigned char>(name[0])) != 0 &&
      std::ranges::all_of(name, is_allowed)) {
    return {};
  }
  return UsageError(
      Quoted(name) + " is not a name for a cluster",
      "letters, digits, \"_\", \".\" and \"-\", at most 63, a letter or a digit first");
}

Status CheckShellPath(const string& path) {
  const auto is_plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || string("/_.+-@:").find(static_cast<char>(c)) != string::npos;
  };
  if (path.starts_with('/') && std::ranges::all_of(path, is_plain)) return {};
  return Refused("a cluster cannot have " + Quoted(path) + " among its paths",
                 "only letters, digits and / _ . + - @ : survive pg_ctl's shell");
}

string ClusterConfig(const Registration& it) {
  return "# The cluster of a velafs branch, made by velapg register; velapg unregister " +
         it.branch +
         " removes it.\n"
         "# The server's settings are the branch's: use ALTER SYSTEM, or edit\n"
         "# " +
         it.data_dir +
         "/postgresql.conf.\n"
         "# This file is for postgresql-common. A server refuses it, so that none starts without\n"
         "# what keeps a branch apart: use pg_ctlcluster, systemctl or velapg.\n"
         "start_it_with_pg_ctlcluster_or_velapg = on\n" +
         Line(kStoreKey, it.store) + Line(kBranchKey, it.branch) +
         Line("data_directory", ClusterLink(it.version, it.cluster)) +
         "port = " + std::to_string(it.port) + "\n" +
         Line("unix_socket_directories", it.socket_dir) +
         Line("cluster_name", it.version + "/" + it.cluster);
}

string ClusterControl(const Registration& it) {
  return "# velapg starts the server, in the place of postgres.\n" +
         Line("pg_ctl_options", "-p " + it.velapg + " -o --velafs-store=" + it.store +
                                    " -o --velafs-branch=" + it.branch);
}

string ClusterUnit(const Registration& it) {
  const bool is_default = it.store == kDefaultStore;
  return "# Made by velapg register; velapg unregister " + it.branch + " removes it.\n[Unit]\n" +
         (is_default ? string("BindsTo=velafs.service\nAfter=velafs.service\n") : string()) +
         "AssertPathExists=\n\n[Service]\nType=notify\nNotifyAccess=main\nPIDFile=\nExecStart=\n"
         "ExecStart=" +
         it.velapg + " --store " + it.store + " --quiet start " + it.branch +
         " --foreground --timeout 1d\nExecStop=\nExecReload=\nExecReload=/bin/sh -c \"kill -HUP "
         "${MAINPID}\"\n"
         "KillMode=mixed\nTimeoutStopSec=5min\nSyslogLevelPrefix=no\nOOMScoreAdjust=-200\n"
         "Environment=PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj PG_OOM_ADJUST_VALUE=0\n";
}

std::optional<Registration> ParseClusterConfig(const string& text) {
  Registration found;
  found.store = ValueOf(text, kStoreKey);
  found.branch = ValueOf(text, kBranchKey);
  if (found.store.empty() || found.branch.empty()) return std::nullopt;
  return found;
}

Result<int> RegisterCluster(const Arguments& arguments, const Output& output) {
  VELAFS_TRY(CheckMayRegister());
  const string cluster = arguments.cluster.empty() ? arguments.branch : arguments.cluster;
  VELAFS_TRY(CheckClusterName(cluster));
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const Target target, OpenTarget(session, arguments.branch));
  VELAFS_ASSIGN(Registration registration, NameCluster(session, target.branch, cluster));
  VELAFS_TRY(StartOnce(session, target, arguments, output));
  VELAFS_ASSIGN(registration.port, session.AssignPort(target.branch.name, std::nullopt));
  const RunDir run_dir = FindRunDir(session.store(), target.branch.id);
  registration.socket_dir = run_dir.socket_dir;
  registration.log = run_dir.Log();
  VELAFS_TRY(CheckShellPath(registration.socket_dir));
  VELAFS_TRY(MakeCluster(registration));
  VELAFS_TRY(ReloadSystemd());
  WarnIfOwnerIsShutOut(registration, target, output);
  const string name = registration.version + " " + registration.cluster;
  output.Confirm({{"branch", registration.branch},
                  {"version", registration.version},
                  {"cluster", registration.cluster},
                  {"port", registration.port}},
                 "branch " + Quoted(registration.branch) + " is cluster " + name +
                     "\npg_ctlcluster " + name + " start\n");
  return 0;
}

Result<int> UnregisterCluster(const Arguments& arguments, const Output& output) {
  VELAFS_TRY(CheckMayRegister());
  std::error_code error;
  const std::filesystem::path named = StoreDirectory(arguments.store);
  const std::filesystem::path canonical = std::filesystem::weakly_canonical(named, error);
  const string store = error ? named.string() : canonical.string();
  const std::vector<Registration> clusters = FindClusters(store, arguments.branch);
  if (clusters.empty()) {
    return NotFound("branch " + Quoted(arguments.branch) + " is no cluster",
                    "pg_lsclusters lists those there are");
  }
  for (const Registration& cluster : clusters) {
    VELAFS_TRY(CheckClusterStopped(cluster));
    VELAFS_TRY(RemoveCluster(cluster));
  }
  VELAFS_TRY(ReloadSystemd());
  output.Confirm({{"branch", arguments.branch},
                  {"version", clusters.front().version},
                  {"cluster", clusters.front().cluster}},
                 "branch " + Quoted(arguments.branch) + " is no longer a cluster\n");
  return 0;
}

}  // namespace velafs::pgctl
