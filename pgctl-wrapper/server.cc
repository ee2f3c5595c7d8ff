#include "pgctl-wrapper/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "pgctl-wrapper/generated_config.h"
#include "pgctl-wrapper/idle_stop.h"
#include "pgctl-wrapper/pg_version.h"
#include "pgctl-wrapper/port.h"
#include "pgctl-wrapper/postmaster.h"
#include "pgctl-wrapper/process.h"
#include "pgctl-wrapper/run_dir.h"
#include "pgctl-wrapper/server_programs.h"
#include "pgctl-wrapper/settings.h"
#include "pgctl-wrapper/text_file.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kShortestPoll{2};
constexpr milliseconds kLongestPoll{50};
// How long a dead postmaster's backends get to notice and end.
constexpr std::chrono::seconds kOrphansTime{10};

// After a postmaster's sudden death, its backends end by themselves, as soon as they notice.
// Returns the branch as it is then.
Result<Branch> WaitForOrphans(Session& session, const std::string& name) {
  const auto deadline = steady_clock::now() + kOrphansTime;
  for (;;) {
    VELAFS_ASSIGN(Branch branch, session.FindMounted(name));
    if (!branch.orphan_pid) return branch;
    if (steady_clock::now() >= deadline) {
      return Refused("process " + std::to_string(*branch.orphan_pid) +
                         " of an earlier server still uses branch \"" + name + "\"",
                     "end it before starting another server");
    }
    const Result<UniqueFd> orphan = OpenPidFd(*branch.orphan_pid);
    if (orphan.ok()) WaitForEnd(*orphan, kShortestPoll);
  }
}

Result<UniqueFd> LockAs(const Owner& owner, const RunDir& run_dir) {
  const ActingAs acting(owner);
  return LockRunDir(run_dir);
}

Status RemoveIfThere(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return SystemError(errno, "cannot remove \"" + path + "\"");
}

// Makes sure that no server uses the branch: ends one that has lost its mount, and removes what an
// earlier one left by sudden death: its lock files name a pid that may be another process by now.
// The mount lets nobody remove those of a server that lives.
Status ClearTheWay(const Branch& branch, const RunDir& run_dir) {
  VELAFS_ASSIGN(std::optional<RunningServer> server,
                FindServer(branch.data_dir, branch.server_pid));
  if (!server) server = FindLostServer(run_dir.socket_dir);
  if (server && server->lost) {
    VELAFS_TRY(StopServer(*server, StopMode::kImmediate, kOrphansTime));
  } else if (server) {
    return Refused("server of branch \"" + branch.name + "\" is already running (pid " +
                       std::to_string(server->file.pid) + ")",
                   "velapg url " + branch.name + " says how to reach it");
  }
  VELAFS_TRY(RemoveIfThere(branch.data_dir + "/postmaster.pid"));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir.socket_dir, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(".s.PGSQL.")) VELAFS_TRY(RemoveIfThere(entry.path()));
  }
  return {};
}

// Removes the files that would make the server a standby of production.
Result<std::vector<Override>> RemoveSignalFiles(const Branch& branch, int version) {
  std::vector<std::string> names = {"standby.signal", "recovery.signal"};
  if (version < 12) names = {"recovery.conf"};
  std::vector<Override> removed;
  for (const std::string& name : names) {
    const std::string path = branch.data_dir + "/" + name;
    if (unlink(path.c_str()) == 0) {
      removed.push_back({name, "removed", "would start it as a standby"});
    } else if (errno != ENOENT) {
      return SystemError(errno, "cannot remove \"" + path + "\"");
    }
  }
  return removed;
}

Result<std::string> ReadControlData(const ServerPrograms& programs, const Branch& branch,
                                    const Owner& owner) {
  Command command;
  command.argv = {programs.Path("pg_controldata"), "-D", branch.data_dir};
  command.environment = ServerEnvironment(owner);
  command.environment["LC_ALL"] = "C";
  command.run_as = &owner;
  VELAFS_ASSIGN(const Captured captured, Capture(std::move(command)));
  if (captured.exit_status == 0) return captured.out;
  return Failed("cannot read pg_control of branch \"" + branch.name + "\"",
                QuoteLastLines("pg_controldata says", captured.err));
}

// The branch's own configuration files; in the place of each that it lacks, a generated one.
Result<ServerPlaces> PlaceConfiguration(const ServerPrograms& programs, const Branch& branch,
                                        const Owner& owner, const RunDir& run_dir) {
  ServerPlaces places;
  places.data_dir = branch.data_dir;
  places.socket_dir = run_dir.socket_dir;
  places.log_dir = run_dir.path;
  const auto own = [&](const std::string& name, std::string* place) {
    *place = branch.data_dir + "/" + name;
    if (access(place->c_str(), F_OK) == 0) return true;
    *place = run_dir.path + "/" + name;
    return false;
  };
  if (!own("postgresql.conf", &places.config_file)) {
    VELAFS_ASSIGN(const std::string control_data, ReadControlData(programs, branch, owner));
    VELAFS_TRY(WriteTextFile(places.config_file, GeneratedServerConfig(control_data)));
  }
  // The branch's own would let in its data's owner, who is not the one to run this server.
  const bool is_shown = !branch.data_owner.empty();
  if (is_shown) {
    places.hba_file = run_dir.path + "/pg_hba.conf";
    places.ident_file = run_dir.path + "/pg_ident.conf";
  }
  if (is_shown || !own("pg_hba.conf", &places.hba_file)) {
    VELAFS_TRY(WriteTextFile(places.hba_file, GeneratedHba()));
  }
  if (is_shown || !own("pg_ident.conf", &places.ident_file)) {
    VELAFS_TRY(WriteTextFile(places.ident_file, GeneratedIdent()));
  }
  return places;
}

Result<ServerFacts> LearnFacts(const ServerPrograms& programs, const Branch& branch,
                               const Owner& owner, ServerPlaces places,
                               const OverrideChoice& choice) {
  ServerFacts facts;
  facts.branch = branch.name;
  facts.version = programs.version;
  facts.places = std::move(places);
  Result<Settings> own =
      AskSettings(programs, owner, facts.places, SettingsToAsk(programs.version, choice));
  if (!own.ok()) {
    return std::move(own).status().WithContext("cannot start branch \"" + branch.name + "\"");
  }
  facts.own = *std::move(own);
  facts.ssl_files_missing = AreSslFilesMissing(facts.own, branch.data_dir);
  facts.missing_libraries = MissingLibraries(facts.own, programs);
  return facts;
}

// A server process on its way up, and where in the log its own lines begin.
struct Launched {
  pid_t pid = 0;
  UniqueFd log;
  uint64_t log_start_bytes = 0;
};

Result<Launched> Launch(const ServerPrograms& programs, const Branch& branch, const Owner& owner,
                        const RunDir& run_dir, const std::vector<Override>& overrides,
                        bool dies_with_parent) {
  Launched launched;
  const std::string log = run_dir.Log();
  launched.log.Reset(open(log.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat info {};
  if (!launched.log || fstat(launched.log.get(), &info) != 0) {
    return SystemError(errno, "cannot open \"" + log + "\"");
  }
  launched.log_start_bytes = static_cast<uint64_t>(info.st_size);

  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return SystemError(errno, "cannot open \"/dev/null\"");
  Command command;
  command.argv = {programs.Path("postgres")};
  const std::vector<std::string> arguments = ServerArguments(branch.data_dir, overrides);
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.environment = ServerEnvironment(owner);
  command.run_as = &owner;
  command.stdin_fd = null.get();
  command.stdout_fd = launched.log.get();
  command.stderr_fd = launched.log.get();
  command.new_session = true;
  command.signal_when_parent_dies = dies_with_parent ? SIGQUIT : 0;
  VELAFS_ASSIGN(launched.pid, Spawn(command));
  return launched;
}

Status WaitUntilReady(const Launched& launched, const Branch& branch, std::chrono::seconds timeout,
                      const std::function<bool()>& is_cancelled) {
  const std::string server = "server of branch \"" + branch.name + "\"";
  VELAFS_ASSIGN(const UniqueFd pidfd, OpenPidFd(launched.pid));
  const auto start = steady_clock::now();
  const auto deadline = start + timeout;
  const auto next_poll = [start] {  // a twentieth of the time passed: no start gets much longer
    const auto passed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
    return std::clamp(passed / 20, kShortestPoll, kLongestPoll);
  };
  while (!WaitForEnd(pidfd, next_poll())) {
    VELAFS_ASSIGN(const std::optional<PostmasterFile> file, ReadPostmasterFile(branch.data_dir));
    if (file && file->pid == launched.pid && file->IsUp()) return {};
    if (is_cancelled()) {
      kill(launched.pid, SIGQUIT);
      WaitForExit(launched.pid);
      return Failed("start of the " + server + " was interrupted");
    }
    if (steady_clock::now() < deadline) continue;
    return Failed(server + " is not ready after " + FormatDuration(timeout),
                  "it goes on starting: see velapg status and velapg logs");
  }
  WaitForExit(launched.pid);
  VELAFS_ASSIGN(const std::string said, ReadAll(launched.log.get(), launched.log_start_bytes));
  return Failed(server + " ended before it was ready", QuoteLastLines("its log ends with", said));
}

std::vector<std::string> Warnings(const ServerFacts& facts, const std::vector<Override>& removed) {
  std::vector<std::string> warnings;
  for (const std::string& library : facts.missing_libraries) {
    warnings.push_back("preload library \"" + library + "\" is not installed and was left out");
  }
  for (const Override& file : removed) {
    warnings.push_back("removed \"" + file.setting + "\" from the branch: it " + file.why);
  }
  return warnings;
}

}  // namespace

Result<StartedServer> StartServer(Session& session, const Branch& found, const Owner& owner,
                                  const StartOptions& options, const StartControl& control) {
  VELAFS_ASSIGN(const RunDir run_dir, PrepareRunDir(session.store(), found.id, owner));
  VELAFS_ASSIGN(const UniqueFd lock, LockAs(owner, run_dir));
  VELAFS_ASSIGN(const Branch branch, WaitForOrphans(session, found.name));
  VELAFS_ASSIGN(const int version, ReadPgVersion(branch.data_dir));
  VELAFS_ASSIGN(const ServerPrograms programs,
                FindServerPrograms(version, options.pgbin, branch.name));
  {
    const ActingAs acting(owner);
    VELAFS_TRY(ClearTheWay(branch, run_dir));
    VELAFS_TRY(ClearIdleStop(run_dir));
  }
  VELAFS_ASSIGN(const uint16_t port, ChoosePort(session, branch.name, options.port));

  const ActingAs acting(owner);
  VELAFS_ASSIGN(ServerPlaces places, PlaceConfiguration(programs, branch, owner, run_dir));
  places.port = port;
  VELAFS_ASSIGN(const ServerFacts facts,
                LearnFacts(programs, branch, owner, std::move(places), options.overrides));
  VELAFS_ASSIGN(std::vector<Override> overrides, PlanOverrides(facts, options.overrides));
  std::vector<Override> removed;
  if (!options.standby && !options.overrides.as_is) {
    VELAFS_ASSIGN(removed, RemoveSignalFiles(branch, version));
  }
  VELAFS_ASSIGN(const Launched launched,
                Launch(programs, branch, owner, run_dir, overrides, control.dies_with_parent));
  VELAFS_TRY(WaitUntilReady(launched, branch, options.timeout, control.is_cancelled));
  if (options.idle_stop.value_or(std::chrono::seconds(0)).count() > 0) {
    VELAFS_TRY(StopWhenIdle(branch.data_dir, launched.pid, run_dir, owner, *options.idle_stop));
  }

  overrides.insert(overrides.end(), removed.begin(), removed.end());
  return StartedServer{launched.pid, port, run_dir.socket_dir, std::move(overrides),
                       Warnings(facts, removed)};
}

}  // namespace velafs::pgctl
