#include "velafs/cli/daemon.h"

#include <malloc.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <memory>
#include <thread>

#include "velafs/api/arguments.h"
#include "velafs/api/client.h"
#include "velafs/api/server.h"
#include "velafs/api/verbs.h"
#include "velafs/api/version.h"
#include "velafs/base/counted.h"
#include "velafs/cli/autostart.h"
#include "velafs/cli/log_formatter.h"
#include "velafs/cli/mountpoint.h"
#include "velafs/cli/output.h"
#include "velafs/cli/service_watch.h"
#include "velafs/os/sandbox.h"
#include "velafs/os/space_reserve.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/mounted_store.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/store.h"
#include "velafs/store/upkeep.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

// Blocked in every thread, and taken by SignalWatch. SIGHUP has the log opened and the
// configuration read anew; the others end the daemon.
sigset_t WatchedSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

constexpr int kMostArenas = 4;

void PrepareProcess() {
  const sigset_t watched = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &watched, nullptr);
  umask(077);
  // Each arena keeps what its threads have freed: with eight a processor, as by default, that adds
  // up. Threads seldom wait for one.
  mallopt(M_ARENA_MAX, kMostArenas);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);  // a lower limit is slower, not wrong: os/descriptor_pool.h
  }
}

// Runs `on_signal` on a thread of its own for each signal of WatchedSignals.
class SignalWatch {
 public:
  explicit SignalWatch(std::function<void(int number)> on_signal)
      : thread_([this, on_signal = std::move(on_signal)] { Watch(on_signal); }) {}
  ~SignalWatch() {
    done_ = true;
    pthread_kill(thread_.native_handle(), SIGHUP);
    thread_.join();
  }

 private:
  void Watch(const std::function<void(int)>& on_signal) {
    const sigset_t watched = WatchedSignals();
    int number = 0;
    while (sigwait(&watched, &number) == 0 && !done_) on_signal(number);
  }

  std::atomic<bool> done_ = false;
  std::thread thread_;  // last: it uses the members above
};

using LogSink = std::shared_ptr<spdlog::sinks::sink>;

std::unique_ptr<spdlog::formatter> LogLines(const DaemonOptions& options) {
  if (options.log_to_stderr && StderrIsJournal()) return JournalFormatter();
  return LogFormatter("%Y-%m-%dT%H:%M:%S.%eZ %l: ");
}

Result<LogSink> OpenLog(const DaemonOptions& options, const store::StorePaths& paths) try {
  constexpr size_t kMaxLogBytes = 8 * 1024 * 1024;
  constexpr size_t kOldLogs = 3;
  LogSink sink;
  if (options.log_to_stderr) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    sink =
        std::make_shared<spdlog::sinks::rotating_file_sink_mt>(paths.Log(), kMaxLogBytes, kOldLogs);
  }
  sink->set_formatter(LogLines(options));
  return sink;
} catch (const spdlog::spdlog_ex& error) {
  return Failed("cannot open the log: " + std::string(error.what()));
}

// The log, behind a sink that can exchange it while threads write to it.
using LogPlace = spdlog::sinks::dist_sink_mt;

Result<std::shared_ptr<LogPlace>> StartLog(const DaemonOptions& options,
                                           const store::StorePaths& paths) {
  VELAFS_ASSIGN(const LogSink sink, OpenLog(options, paths));
  auto place = std::make_shared<LogPlace>();
  auto logger = std::make_shared<spdlog::logger>("velafs", place);
  place->set_sinks({sink});
  logger->set_level(spdlog::level::from_str(options.live.log_level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return place;
}

// Goes on in a new file where the old one was moved away, as logrotate does.
void ReopenLog(LogPlace& place, const DaemonOptions& options, const store::StorePaths& paths) {
  const Result<LogSink> sink = OpenLog(options, paths);
  if (!sink.ok()) return spdlog::error("{}", sink.status().message());
  place.set_sinks({*sink});
  spdlog::info("signal {}: the log was reopened", SIGHUP);
}

Status AlreadyMounted(Client& daemon, const std::string& cannot) {
  VELAFS_ASSIGN(const json status, daemon.Call("status", json::object()));
  return Locked(cannot + ": it is already mounted at \"" +
                status.value("mountpoint", std::string()) + "\" by process " +
                std::to_string(status.value("pid", 0)));
}

Status DetachRemains(const std::string& store_directory, const std::string& cannot) {
  auto detached = DetachDeadMounts(store_directory);
  if (!detached.ok()) return std::move(detached).status().WithContext(cannot);
  for (const std::string& mountpoint : *detached) {
    WriteNotice("detached \"" + mountpoint + "\", left by a daemon that died");
  }
  return {};
}

// Whether only this user may make something in the directory above.
bool IsOursAbove(const std::string& path) {
  struct stat above {};
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return stat(parent.c_str(), &above) == 0 && above.st_uid == geteuid() &&
         (above.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// Makes the mountpoint if that is allowed, and detaches a mount whose daemon died.
Status PrepareMountpoint(const std::string& mountpoint, bool makes_it, const std::string& cannot) {
  if (IsDeadMountpoint(mountpoint)) {  // of another store
    VELAFS_TRY(DetachMountpoint(mountpoint).WithContext(cannot));
    WriteNotice("detached \"" + mountpoint + "\", left by a daemon that died");
  }
  if (access(mountpoint.c_str(), F_OK) == 0) return {};
  const int error = errno;
  if (error != ENOENT) return SystemError(error, cannot + " at \"" + mountpoint + "\"");
  if (!makes_it) {
    return NotFound(cannot + " at \"" + mountpoint + "\": no such directory",
                    "mkdir -p '" + mountpoint + "'");
  }
  if (mkdir(mountpoint.c_str(), 0755) != 0 || chmod(mountpoint.c_str(), 0755) != 0) {
    return SystemError(errno, cannot + ": cannot make \"" + mountpoint + "\"");
  }
  return {};
}

// Servers end first: they still have data to write through the mount.
void UnmountBySignal(store::Store& store, fuse::Mount& mount, std::chrono::seconds patience) {
  const Status stopped = store.servers().StopAll(patience);
  if (!stopped.ok()) spdlog::error("{}", stopped.message());
  const Status unmounted = mount.Unmount();
  if (unmounted.ok()) return;
  spdlog::warn("{}; unmounting all the same", unmounted.message());
  mount.Stop();
}

api::Server::ExtraVerbs UmountVerb(store::Store& store, fuse::Mount& mount, const json& identity,
                                   std::chrono::seconds patience) {
  return {
      {api::kUmountVerb,
       [&store, &mount, &identity, patience](const json& words, const ProgressFn&) -> Result<json> {
         api::Arguments arguments(words);
         const bool stops_servers = arguments.Flag("stop_servers");
         VELAFS_TRY(arguments.Finish());
         if (stops_servers) VELAFS_TRY(store.servers().StopAll(patience));
         VELAFS_TRY(mount.Unmount());
         spdlog::info("unmounted on request");
         return identity;
       }}};
}

store::Caller Self() {
  store::Caller self = api::CallerOf(geteuid());
  self.pid = static_cast<uint32_t>(getpid());
  return self;
}

Status GiveUpRights() {
  VELAFS_ASSIGN(const os::Sandbox sandbox, os::EnterSandbox());
  if (!sandbox.missing.empty()) spdlog::warn("{}", sandbox.missing);
  return {};
}

// The line that a service manager shows.
std::string StatusLine(store::Store& store, const std::string& mountpoint) {
  const auto branches = store.branches().Names();
  const size_t servers = store.server_registry().Lives().size();
  return "store \"" + store.paths().root + "\" at \"" + mountpoint +
         "\": " + Counted(branches.ok() ? branches->size() : 0, "branch", "branches") + ", " +
         Counted(servers, "running server", "running servers");
}

// An API that others keep too busy for a call of its own is alive as long as it serves them:
// whoever may connect must not be able to have the watchdog end the daemon, and with it all
// servers.
Status AskApi(const store::Store& store, const api::Server& server) {
  const uint64_t served_before = server.served();
  Status asked = api::AskDaemon(store.paths().root);
  return server.served() != served_before ? Status() : asked;
}

// Branches come and go, and policies for one that is gone must not keep the others from users.
Status StartWithPolicies(store::Store& store, const DaemonOptions& options) {
  Status applied = ApplyPolicies(store, Self(), options.live);
  if (applied.code() != Code::kNotFound) return applied;
  spdlog::error("the policies of the configuration could not be applied: {}", applied.message());
  return {};
}

// Keeps the old settings if it cannot.
void Reload(store::Store& store, const DaemonOptions& options) {
  const Result<LiveSettings> live = options.reload();
  Status done = live.status();
  if (done.ok()) {
    spdlog::default_logger()->set_level(spdlog::level::from_str(live->log_level));
    done = ApplyPolicies(store, Self(), *live);
  }
  if (done.ok()) return spdlog::info("signal {}: the configuration was read again", SIGHUP);
  spdlog::error("cannot reload the configuration: {}", done.message());
}

// From the live mount to its end, whatever ends it.
Status Serve(store::Store& store, const std::string& mountpoint, const DaemonOptions& options,
             const os::ServiceManager& manager, LogPlace& log, const OnLive& on_live) {
  const json identity = {
      {"mountpoint", mountpoint}, {"pid", getpid()}, {"store", store.paths().root}};
  ServiceWatch service(manager);  // before the mount, which it asks
  VELAFS_ASSIGN(const auto mount, fuse::Mount::Start(store.mounted(), mountpoint, options.mount));
  VELAFS_TRY(GiveUpRights());  // while there is no thread that would keep them
  // Shared with the watch, which asks it until the mount is gone.
  VELAFS_ASSIGN(
      const std::shared_ptr<api::Server> server,
      api::Server::Start(store, UmountVerb(store, *mount, identity, options.stop_timeout)));
  os::HideMemory();  // the socket's name may have led through /proc/self/fd, root's from now on
  const store::Upkeep upkeep(store, Self());
  bool is_ending = false;
  const SignalWatch watch([&](int number) {
    if (is_ending) return;
    if (number == SIGHUP) {
      manager.Reloading();
      ReopenLog(log, options, store.paths());
      Reload(store, options);
      return service.Reloaded();
    }
    is_ending = true;
    spdlog::info("signal {}: unmounting", number);
    service.Stopping("stopping " + Counted(store.server_registry().Lives().size(), "running server",
                                           "running servers"));
    const MoreTime more_time(manager);
    UnmountBySignal(store, *mount, options.stop_timeout);
  });
  spdlog::info("velafs {}: store \"{}\" mounted at \"{}\"", api::kVersion, store.paths().root,
               mountpoint);
  store.KeepCatalogCopies();
  json live = identity;
  if (options.autostart) {
    VELAFS_ASSIGN(const auto servers, store.servers().TakeServersToStart());
    live[kAutostart] = {{"surely", servers.surely}, {"if_marked", servers.if_marked}};
  }
  VELAFS_TRY(on_live(live));
  service.Start({.mountpoint = mountpoint,
                 .ask_api = [&store, server] { return AskApi(store, *server); },
                 .status = [&] { return StatusLine(store, mountpoint); }});
  Status served = mount->Serve();
  if (!served.ok()) spdlog::error("{}", served.message());
  service.Stopping("closing the store");
  server->Stop();
  store.context().mount.Set("", nullptr);
  return served;
}

}  // namespace

Status RunDaemon(const DaemonOptions& options, const os::ServiceManager& manager,
                 const OnLive& on_live) {
  const std::string cannot = "cannot mount store \"" + options.store_directory + "\"";
  PrepareProcess();
  auto recovery_time = std::make_unique<MoreTime>(manager);
  VELAFS_ASSIGN(api::StoreAccess access, api::ReachStore(options.store_directory));
  recovery_time.reset();
  if (access.daemon) return AlreadyMounted(*access.daemon, cannot);
  store::Store& store = *access.store;

  const bool is_default = options.mountpoint.empty();
  std::string mountpoint = is_default ? store.paths().DefaultMountpoint() : options.mountpoint;
  VELAFS_TRY(DetachRemains(store.paths().root, cannot));
  const bool makes_it = is_default || (options.makes_mountpoint && IsOursAbove(mountpoint));
  // A host without a free inode must not keep a store from being mounted, and cleaned up.
  os::SpaceReserve reserve(os::HostStorage(), store.paths().Reserve());
  VELAFS_TRY(reserve.Run([&] { return PrepareMountpoint(mountpoint, makes_it, cannot); }));
  VELAFS_ASSIGN(mountpoint, RealMountpoint(mountpoint));
  VELAFS_TRY(CheckMountpointPlace(mountpoint, store.paths().root, store.paths().DefaultMountpoint())
                 .WithContext(cannot));
  VELAFS_ASSIGN(const std::shared_ptr<LogPlace> log, StartLog(options, store.paths()));
  for (const std::string& name : store.context().ephemerals_reset) {
    spdlog::warn("ephemeral branch \"{}\" has lost its changes: it was not closed cleanly", name);
  }
  if (chdir("/") != 0) return SystemError(errno, "cannot change to \"/\"");

  VELAFS_TRY(StartWithPolicies(store, options).WithContext(cannot));
  Status served = Serve(store, mountpoint, options, manager, *log, on_live);
  Status closed = store.Close();
  if (!closed.ok()) spdlog::error("{}", closed.message());
  VELAFS_TRY(std::move(served));
  return closed;
}

}  // namespace velafs::cli
