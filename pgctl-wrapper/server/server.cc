#include "pgctl-wrapper/server/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "pgctl-wrapper/config/library_judge.h"
#include "pgctl-wrapper/config/settings.h"
#include "pgctl-wrapper/connect/port.h"
#include "pgctl-wrapper/connect/tcp_login.h"
#include "pgctl-wrapper/data/data_dir.h"
#include "pgctl-wrapper/data/outside_links.h"
#include "pgctl-wrapper/data/pg_version.h"
#include "pgctl-wrapper/data/shared_catalogs.h"
#include "pgctl-wrapper/data/signal_files.h"
#include "pgctl-wrapper/process/isolation.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/server/idle_stop.h"
#include "pgctl-wrapper/server/launched_server.h"
#include "pgctl-wrapper/server/postmaster.h"
#include "pgctl-wrapper/server/preparation.h"
#include "pgctl-wrapper/server/recovery.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server_command.h"
#include "pgctl-wrapper/server/server_facts.h"
#include "pgctl-wrapper/server/server_group.h"
#include "pgctl-wrapper/server/server_places.h"
#include "pgctl-wrapper/server/server_programs.h"
#include "pgctl-wrapper/server/single_user_run.h"
#include "pgctl-wrapper/server/start_warnings.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kOrphanPoll{2};
// How long a dead postmaster's backends get to notice and end.
constexpr std::chrono::seconds kOrphansTime{10};

// After a postmaster's sudden death, its backends end by themselves, as soon as they notice.
// Returns the branch as it is then.
Result<Branch> WaitForOrphans(Session& session, Branch branch) {
  const auto deadline = steady_clock::now() + kOrphansTime;
  for (;;) {
    VELAFS_TRY(session.UpdateServer(&branch));
    if (!branch.orphan_pid) return branch;
    if (steady_clock::now() >= deadline) {
      return Refused("process " + std::to_string(*branch.orphan_pid) +
                         " of an earlier server still uses branch \"" + branch.name + "\"",
                     "end it before starting another server");
    }
    const Result<UniqueFd> orphan = OpenPidFd(*branch.orphan_pid);
    if (orphan.ok()) WaitForEnd(*orphan, kOrphanPoll);
  }
}

// The branch that hints are to name: an ephemeral clone is gone before anybody follows them, so the
// one that it was made of.
std::string NameForHints(Session& session, const std::string& branch) {
  constexpr int kMostClones = 4;
  std::string name = branch;
  for (int i = 0; i < kMostClones; ++i) {
    const auto shown = session.Call("show", {{"name", name}});
    if (!shown.ok() || !shown->value("ephemeral", false)) break;
    const auto parent = shown->find("parent");
    if (parent == shown->end() || !parent->is_string()) break;
    name = parent->get<std::string>();
  }
  return name;
}

Result<UniqueFd> LockAs(const Owner& owner, const RunDir& run_dir, const Patience& patience) {
  const ActingAs acting(owner);
  return LockRunDir(run_dir, [&patience] {
    return steady_clock::now() >= patience.deadline || patience.is_cancelled();
  });
}

Status RemoveIfThere(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return SystemError(errno, "cannot remove \"" + path + "\"");
}

bool HasSocket(const RunDir& run_dir) {
  std::error_code error;
  std::filesystem::directory_iterator entry(run_dir.socket_dir, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().filename().string().starts_with(".s.PGSQL.")) return true;
  }
  return false;
}

// Makes sure that no server uses the branch: ends one that has lost its mount, and removes what an
// earlier one left by sudden death: its lock files name a pid that may be another process by now.
// The mount lets nobody remove those of a server that lives.
Status ClearTheWay(const Branch& branch, const RunDir& run_dir) {
  VELAFS_ASSIGN(std::optional<RunningServer> server,
                FindServer(branch.data_dir, branch.server_pid));
  if (!server) server = FindLostServer(run_dir.socket_dir);
  // One in single-user mode, which a start that was killed has left, ends by itself.
  const bool is_single_user = server && server->file.started_at == 0;
  if (is_single_user && WaitForEnd(server->pidfd, kOrphansTime)) server.reset();
  if (server && server->lost) {
    VELAFS_TRY(StopServer(*server, StopMode::kImmediate, kOrphansTime));
  } else if (server) {
    return Refused("server of branch \"" + branch.name + "\" is already running (pid " +
                       std::to_string(server->file.pid) + ")",
                   HasSocket(run_dir) ? "velapg url " + branch.name + " says how to reach it"
                                      : HowToReachStranger(branch.name, branch.data_dir));
  }
  VELAFS_TRY(RemoveIfThere(branch.data_dir + "/postmaster.pid"));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir.socket_dir, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(".s.PGSQL.")) VELAFS_TRY(RemoveIfThere(entry.path()));
  }
  return {};
}

// The place where a branch's programs run.
Isolation PlaceApart(const ServerPrograms& programs, const Branch& branch, const RunDir& run_dir) {
  // Beside the programs lie their libraries and other files: DIR/bin, DIR/lib, DIR/share.
  const std::string programs_root = std::filesystem::path(programs.bin_dir).parent_path();
  Isolation isolation = PlanIsolation(
      run_dir.path, {branch.data_dir, run_dir.path, run_dir.socket_dir, programs_root});
  isolation.pinned_file = branch.data_dir + "/PG_VERSION";
  return isolation;
}

// This process becomes the server. A process that nobody waits for goes on with the start: in it
// this returns the server's pid.
Result<pid_t> BecomeServer(const Command& command) {
  const pid_t server = getpid();
  const pid_t between = fork();
  if (between < 0) return SystemError(errno, "cannot start a process");
  if (between > 0) {  // the server, which is to have no child that it does not know
    WaitForExit(between);
    const Status failure = Become(command);
    std::fprintf(stderr, "velapg: error: %s\n", failure.message().c_str());
    _exit(1);
  }
  const pid_t starter = fork();
  if (starter != 0) _exit(starter < 0 ? 1 : 0);
  return server;
}

Result<Launched> Launch(const ServerHome& home, const Branch& branch, const RunDir& run_dir,
                        const ServerGroup& group, const std::vector<Override>& overrides,
                        const StartControl& control) {
  Launched launched;
  VELAFS_ASSIGN(launched.log, OpenLog(run_dir.Log()));
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return SystemError(errno, "cannot open \"/dev/null\"");
  Command command = ServerCommand(home, "postgres", ServerArguments(branch.data_dir, overrides));
  command.group = &group;
  command.stdin_fd = null.get();
  command.stdout_fd = launched.log.fd.get();
  command.stderr_fd = launched.log.fd.get();
  command.new_session = true;
  command.signal_when_parent_dies = control.dies_with_parent ? SIGQUIT : 0;
  if (control.takes_over) {
    VELAFS_ASSIGN(launched.pid, BecomeServer(command));
    launched.is_child = false;
  } else {
    VELAFS_ASSIGN(launched.pid, Spawn(command));
  }
  return launched;
}

// A start on its way: what is known of the branch and what the user wants.
struct Start {
  const ServerHome& home;
  const Branch& branch;
  const std::string& name_for_hints;
  const RunDir& run_dir;
  const ServerGroup& group;
  const StartOptions& options;
  const StartControl& control;
  ServerFacts facts;
  std::vector<Override> overrides;
  JudgeSetting judge;
  DataState state;
  PreparedMarker marker;
  Patience patience;
  Preparation report;

  // The user wants the data as it is, or goes on with a standby, whose catalogs cannot be written.
  bool LeavesData() const { return options.standby || options.overrides.as_is; }
};

Result<Launched> LaunchAndWait(const Start& start) {
  VELAFS_ASSIGN(Launched launched, Launch(start.home, start.branch, start.run_dir, start.group,
                                          start.overrides, start.control));
  VELAFS_TRY(WaitUntilReady(launched, {.branch = start.branch.name,
                                       .data_dir = start.branch.data_dir,
                                       .name_for_hints = start.name_for_hints,
                                       .timeout = start.options.timeout,
                                       .is_cancelled = start.control.is_cancelled}));
  return launched;
}

// In single-user mode. `source`: where WAL comes from if the branch needs more than a plain start.
Status RecoverAndPrepare(Start& start, std::optional<WalSource> source, SignalFiles& signals) {
  std::vector<Override> overrides = start.overrides;
  if (source) {
    if (*source == WalSource::kOwn) {
      VELAFS_TRY(CheckFirstSegment(start.name_for_hints, start.branch.data_dir, start.state));
    }
    VELAFS_TRY(signals.MakeRecoverySignal());
    const std::vector<Override> more = RecoveryOverrides(*source, start.facts.own);
    overrides.insert(overrides.end(), more.begin(), more.end());
  }
  // What reads the archive is the user's own command, and may need the network and any directory.
  const bool reads_archive = source == WalSource::kArchive;
  const ServerHome host{start.home.programs, start.home.owner, nullptr};
  return RunSingleUser({.home = reads_archive ? host : start.home,
                        .branch = start.name_for_hints,
                        .data_dir = start.branch.data_dir,
                        .overrides = std::move(overrides),
                        .log = start.run_dir.Log(),
                        .prepares_catalog = !start.marker.catalog_prepared(),
                        .reads_archive = source == WalSource::kArchive,
                        .strict = start.options.overrides.strict,
                        .dies_with_parent = start.control.dies_with_parent,
                        .judge = start.judge,
                        .patience = start.patience},
                       &start.report);
}

// Where a recovery reads WAL; nothing when a plain start is enough.
Result<std::optional<WalSource>> ChooseWalSource(Start& start) {
  const std::string& data_dir = start.branch.data_dir;
  const bool is_needed = start.state.NeedsRecovery() && start.home.programs.version >= 12;
  if (!start.options.recover) {
    return is_needed ? std::optional(WalSource::kOwn) : std::optional<WalSource>();
  }
  if (!is_needed && !HasSignalFile(data_dir, "recovery.signal") &&
      !HasSignalFile(data_dir, "standby.signal")) {
    start.report.warnings.push_back("the branch needs no recovery: --recover did nothing");
    return std::optional<WalSource>();
  }
  if (!start.facts.own["restore_command"].empty()) return std::optional(WalSource::kArchive);
  return Refused(
      "branch \"" + start.branch.name + "\" has no restore_command to read an archive " + "with",
      "write restore_command = '...' into " + data_dir + "/postgresql.conf");
}

// What only the WAL had is in the files once a server has recovered; nobody was told of the server
// yet.
Result<Launched> PrepareLate(Start& start, Launched launched, SignalFiles& signals) {
  const bool is_seen = MayNeedPreparation(start.branch.data_dir);
  if (!is_seen) return launched;
  EndLaunched(launched, SIGINT, start.options.timeout);
  VELAFS_TRY(RecoverAndPrepare(start, std::nullopt, signals));
  if (start.control.takes_over) {
    return Failed(
        "the server was stopped to remove settings or subscriptions that its WAL had brought",
        "start it again");
  }
  return LaunchAndWait(start);
}

// A server whose branch is this clone's own from then on. When it fails, the branch has its signal
// files again.
Result<Launched> PrepareAndLaunch(Start& start) {
  VELAFS_ASSIGN(const std::optional<WalSource> source, ChooseWalSource(start));
  const std::string& data_dir = start.branch.data_dir;
  VELAFS_ASSIGN(SignalFiles signals, SignalFiles::PutAside(data_dir, start.home.programs.version));
  bool is_prepared = start.marker.catalog_prepared();
  if (source || (!is_prepared && MayNeedPreparation(data_dir))) {
    VELAFS_TRY(RecoverAndPrepare(start, source, signals));
    is_prepared = true;
  }
  VELAFS_ASSIGN(Launched launched, LaunchAndWait(start));
  if (!is_prepared && !start.state.is_clean) {
    VELAFS_ASSIGN(launched, PrepareLate(start, std::move(launched), signals));
  }
  Result<std::vector<Override>> committed = signals.Commit();
  if (!committed.ok()) {
    EndLaunched(launched, SIGINT, start.options.timeout);
    return std::move(committed).status();
  }
  const std::vector<Override> removed = *std::move(committed);
  for (const Override& file : removed) {
    if (source == WalSource::kArchive && file.setting == "recovery.signal") continue;  // it has
    start.report.neutralised.push_back(file);
    start.report.warnings.push_back("removed \"" + file.setting + "\" from the branch: it " +
                                    file.why);
  }
  return launched;
}

Result<Launched> PrepareSlotsAndLaunch(Start& start) {
  if (!start.options.overrides.as_is && !start.marker.slots_removed()) {
    VELAFS_TRY(RemoveReplicationSlots(start.branch.data_dir, &start.report));
    VELAFS_TRY(start.marker.RecordSlotsRemoved());
  }
  if (!start.LeavesData()) return PrepareAndLaunch(start);
  if (start.options.standby && !HasSignalFile(start.branch.data_dir, "standby.signal") &&
      HasSignalFile(start.branch.data_dir, "recovery.signal") && !start.options.overrides.as_is) {
    return Refused("branch \"" + start.branch.name + "\" is not a standby: it has recovery.signal",
                   "velapg start " + start.name_for_hints + " --recover finishes its recovery");
  }
  return LaunchAndWait(start);
}

// Has somebody log in over TCP. The value is the password, if it is velapg's.
Result<std::string> LetInOverTcp(Start& start, uint16_t port) {
  if (start.options.standby) {
    start.report.warnings.push_back(
        "a standby's roles cannot be changed: over TCP use a password that one of them has");
    return std::string();
  }
  const std::vector<std::string> superusers = BootstrapRoles(start.branch.data_dir);
  const std::string superuser = superusers.empty() ? start.home.owner.name : superusers.front();
  const std::string role = start.options.tcp_role.empty() ? superuser : start.options.tcp_role;
  Result<std::string> password = AdmitOverTcp({.home = start.home,
                                               .run_dir = start.run_dir,
                                               .branch = start.branch.name,
                                               .port = port,
                                               .superuser = superuser,
                                               .role = role});
  if (!password.ok()) return password;
  start.report.neutralised.push_back(
      {"password of role \"" + role + "\"", "(velapg's)", "velapg url --tcp logs in with it"});
  start.report.warnings.push_back("the password of role \"" + role +
                                  "\" was set for TCP, until the next start");
  return password;
}

// What a server that takes connections still lacks. The value is a password for TCP.
Result<std::string> FinishStart(Start& start, const Launched& launched, uint16_t port) {
  std::string password;
  if (start.options.overrides.tcp) {
    VELAFS_ASSIGN(password, LetInOverTcp(start, port));
  }
  const bool is_first = !start.marker.catalog_prepared();
  if (!start.LeavesData() && is_first) VELAFS_TRY(start.marker.RecordCatalogPrepared());
  const auto idle_stop = start.options.idle_stop.value_or(std::chrono::seconds(0));
  if (idle_stop.count() > 0) {
    VELAFS_TRY(StopWhenIdle(start.branch.data_dir, launched.pid, port, start.run_dir,
                            start.home.owner, idle_stop));
  }
  return password;
}

}  // namespace

Result<StartedServer> StartServer(Session& session, const Branch& found, const Owner& owner,
                                  const StartOptions& options, const StartControl& control) {
  VELAFS_TRY(CheckDirectoryOwner(found.data_dir, owner));
  // A daemon of root's also makes a place for the server that we could not make.
  if (geteuid() != 0) VELAFS_TRY(session.AssignPort(found.name, std::nullopt).status());
  VELAFS_ASSIGN(const RunDir run_dir, PrepareRunDir(session.store(), found.id, owner));
  const Patience patience{steady_clock::now() + options.timeout, control.is_cancelled};
  Result<UniqueFd> lock = LockAs(owner, run_dir, patience);
  if (!lock.ok()) {
    return std::move(lock).status().WithContext("cannot start branch \"" + found.name + "\"");
  }
  VELAFS_ASSIGN(const Branch branch, WaitForOrphans(session, found));
  VELAFS_ASSIGN(const int version, ReadPgVersion(branch.data_dir));
  VELAFS_ASSIGN(const ServerPrograms programs,
                FindServerPrograms(version, options.pgbin, branch.name));
  {
    const ActingAs acting(owner);
    VELAFS_TRY(ClearTheWay(branch, run_dir));
    VELAFS_TRY(ClearIdleStop(run_dir));
    VELAFS_TRY(ClearTcpLogin(run_dir));
  }
  std::vector<std::string> port_warnings;
  VELAFS_ASSIGN(const uint16_t port,
                ChoosePort(session, branch.name, options.port, &port_warnings));
  VELAFS_ASSIGN(const LibraryPolicy policy, ReadLibraryPolicy(session, branch.name));
  const std::string name_for_hints = NameForHints(session, branch.name);
  VELAFS_ASSIGN(const ServerLimits limits, LimitsOf(session, branch.name));
  VELAFS_ASSIGN(const ServerGroup group,
                PlanServerGroup(branch.name, limits, !control.dies_with_parent));

  if (options.overrides.tcp && options.network.value_or(Network::kIsolated) == Network::kIsolated) {
    return Refused("a server without a network has no TCP", "add --network host");
  }
  const ActingAs acting(owner);
  VELAFS_TRY(CheckNothingLeadsOut(branch.data_dir, branch.name));
  LibraryJudge judge(policy, programs, branch.data_dir, options.overrides.as_is);
  const Isolation place_apart = PlaceApart(programs, branch, run_dir);
  const bool is_apart = options.network != Network::kHost;
  const ServerHome home{programs, owner, is_apart ? &place_apart : nullptr};
  Start start{home, branch, name_for_hints, run_dir, group, options, control, {}, {}, {}, {}, {},
              {},   {}};
  VELAFS_ASSIGN(ServerPlaces places,
                PlaceConfiguration(home, branch, run_dir, options.overrides.as_is));
  places.port = port;
  VELAFS_ASSIGN(start.facts, LearnFacts(home, branch, run_dir, std::move(places), options, judge,
                                        &start.report));
  start.facts.memory_limit_bytes = limits.memory_bytes;
  VELAFS_ASSIGN(start.overrides, PlanOverrides(start.facts, options.overrides));
  start.judge = [&judge](const std::string& setting, const std::string& value) {
    return judge.Judge(setting, value);
  };
  VELAFS_TRY(SignalFiles::PutBack(branch.data_dir));
  VELAFS_ASSIGN(start.state, ReadDataState(branch.data_dir));
  start.marker = PreparedMarker::Read(run_dir, branch.instance);
  start.patience = patience;

  const bool is_first = !start.marker.catalog_prepared();
  VELAFS_ASSIGN(const Launched launched, PrepareSlotsAndLaunch(start));
  Result<std::string> password = FinishStart(start, launched, port);
  if (!password.ok()) {
    EndLaunched(launched, SIGINT, options.timeout);
    return std::move(password).status();
  }

  StartedServer started{launched.pid,
                        port,
                        run_dir.socket_dir,
                        start.facts.network,
                        options.overrides.tcp,
                        is_apart ? "" : *std::move(password),
                        std::move(start.overrides),
                        {}};
  started.neutralised.insert(started.neutralised.end(), start.report.neutralised.begin(),
                             start.report.neutralised.end());
  started.warnings = std::move(port_warnings);
  WarnOfGroup(group, &started.warnings);
  WarnOfLibraries(start.facts, start.name_for_hints, &started.warnings);
  started.warnings.insert(started.warnings.end(), start.report.warnings.begin(),
                          start.report.warnings.end());
  WarnOfData(start.facts, options, is_first, &started.warnings);
  return started;
}

}  // namespace velafs::pgctl
