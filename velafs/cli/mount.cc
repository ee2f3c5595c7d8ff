// `velafs mount` and `velafs umount`: the daemon, started and stopped.
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "velafs/api/client.h"
#include "velafs/api/wire.h"
#include "velafs/base/units.h"
#include "velafs/cli/autostart.h"
#include "velafs/cli/command.h"
#include "velafs/cli/daemon.h"
#include "velafs/cli/daemon_place.h"
#include "velafs/cli/mount_users.h"
#include "velafs/cli/mountpoint.h"
#include "velafs/cli/output.h"
#include "velafs/cli/settings.h"
#include "velafs/os/file_lock.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/paths.h"

namespace velafs::cli {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

struct MountArguments {
  std::string mountpoint;
  bool foreground = false;
  bool no_idle_polling = false;
  bool write_through = false;
  bool no_autostart = false;
  std::string stop_timeout;
};

Status PrintMounted(const Globals& globals, json live, const std::vector<std::string>& started) {
  live.erase(kAutostart);
  live["started"] = started;
  std::string text = "mounted store \"" + live.value("store", std::string()) + "\" at \"" +
                     live.value("mountpoint", std::string()) + "\"";
  for (const std::string& branch : started) text += "\nstarted the server on \"" + branch + "\"";
  return PrintConfirmation(globals, live, text);
}

// Closes the caller's other descriptors (a script's lock, a pipe): they must not live on here.
void CloseInherited(int keep) {
  const auto kept = static_cast<unsigned>(keep);
  if (kept > STDERR_FILENO + 1) close_range(STDERR_FILENO + 1, kept - 1, 0);
  close_range(kept + 1, ~0U, 0);
}

// Lets go of the terminal, and of the pipes of whoever waits for our output to end.
Status DetachStdio() {
  const os::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return SystemError(errno, "cannot open \"/dev/null\"");
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (dup2(null.get(), fd) < 0) return SystemError(errno, "cannot redirect standard streams");
  }
  return {};
}

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // the parent has gone; nobody else waits for this
    text.remove_prefix(static_cast<size_t>(written));
  }
}

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
}

// The child: the daemon, which tells through `report` how it started.
[[noreturn]] void BeDaemon(const DaemonOptions& options, os::UniqueFd report) {
  setsid();
  CloseInherited(report.get());
  LeaveService(options.store_directory);
  const auto tell = [&report](const Result<json>& outcome) {
    WriteAll(report.get(), api::ToText(api::OutcomeToJson(outcome)));
    report.Reset();
  };
  const Status ended =
      RunDaemon(options, os::ServiceManager(), [&tell](const json& live) -> Status {
        VELAFS_TRY(DetachStdio());
        tell(live);
        return {};
      });
  if (!ended.ok() && report) tell(ended);
  spdlog::shutdown();
  _exit(ExitStatus(ended.code()));
}

Status MountInBackground(const Globals& globals, const DaemonOptions& options) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  os::UniqueFd from_child(ends[0]);
  os::UniqueFd to_parent(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return SystemError(errno, "cannot start the daemon");
  if (pid == 0) {
    from_child.Reset();
    BeDaemon(options, std::move(to_parent));
  }
  to_parent.Reset();
  const Result<json> answer = api::FromText(ReadAll(from_child.get()));
  if (!answer.ok()) {
    return Failed("the daemon of store \"" + options.store_directory + "\" died at its start",
                  "see \"" + store::StorePaths(options.store_directory).Log() + "\"");
  }
  VELAFS_ASSIGN(const json live, api::OutcomeFromJson(*answer));
  return PrintMounted(globals, live, StartServers(globals, live));
}

// A process that starts servers once it is told that the mount is live. It is nobody's child, so
// that the daemon need not wait for it.
Result<os::UniqueFd> ForkStarter(const Globals& globals) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  const os::UniqueFd read_end(ends[0]);
  os::UniqueFd write_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return SystemError(errno, "cannot start a process");
  if (pid == 0) {
    write_end.Reset();
    if (fork() != 0) _exit(0);
    const Result<json> live = api::FromText(ReadAll(read_end.get()));
    if (live.ok()) StartServers(globals, *live);
    _exit(0);
  }
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return write_end;
}

Status MountInForeground(const Globals& globals, const DaemonOptions& options) {
  const auto manager = os::ServiceManager::FromEnvironment();
  VELAFS_ASSIGN(os::UniqueFd starter, ForkStarter(globals));
  return RunDaemon(options, manager, [&](const json& live) -> Status {
    VELAFS_TRY(PrintMounted(globals, live, {}));
    WriteAll(starter.get(), api::ToText(live));
    starter.Reset();
    return {};
  });
}

// The command line comes before the settings.
Status TakeMountpoint(const std::string& given, const Setting& setting, DaemonOptions* options) {
  if (given.empty() && setting.from == "default") return {};
  options->makes_mountpoint = given.empty();
  std::error_code error;
  options->mountpoint =
      std::filesystem::absolute(given.empty() ? setting.value : given, error).string();
  return error ? SystemError(error.value(), "cannot find the mountpoint") : Status();
}

Result<DaemonOptions> OptionsFor(const Globals& globals, const MountArguments& given) {
  VELAFS_ASSIGN(const Settings settings, LoadSettings(globals));
  const auto is_on = [&settings](const char* key) { return settings.Of(key).value == "true"; };
  DaemonOptions options;
  options.store_directory = globals.StoreDirectory();
  VELAFS_TRY(TakeMountpoint(given.mountpoint, settings.Of("mountpoint"), &options));
  options.log_to_stderr = given.foreground;
  options.mount.idle_polling = !given.no_idle_polling && is_on("mount.idle_polling");
  options.mount.write_through = given.write_through || is_on("mount.write_through");
  options.autostart = !given.no_autostart && is_on("mount.autostart");
  const std::string& timeout = settings.Of("mount.stop_timeout").value;
  VELAFS_ASSIGN(options.stop_timeout,
                ParseDuration(given.stop_timeout.empty() ? timeout : given.stop_timeout));
  VELAFS_ASSIGN(options.live, ReadLiveSettings(settings));
  options.reload = [globals]() -> Result<LiveSettings> {
    VELAFS_ASSIGN(const Settings now, LoadSettings(globals));
    return ReadLiveSettings(now);
  };
  return options;
}

// Where there is a service for the store, it is the one that mounts it, as it is configured.
bool IsForService(const Globals& globals, const MountArguments& given) {
  const bool has_options = given.no_idle_polling || given.no_autostart || given.write_through ||
                           !given.stop_timeout.empty();
  if (given.foreground || !given.mountpoint.empty() || has_options) return false;
  const std::string store = globals.StoreDirectory();
  return IsOfService(store) && !api::AskDaemon(store).ok();
}

Status RunMount(const Globals& globals, const MountArguments& given) {
  if (IsForService(globals, given)) {
    VELAFS_ASSIGN(json live, StartService(globals.StoreDirectory()));
    return PrintMounted(globals, std::move(live), {});
  }
  VELAFS_ASSIGN(const DaemonOptions options, OptionsFor(globals, given));
  return given.foreground ? MountInForeground(globals, options)
                          : MountInBackground(globals, options);
}

// Returns once process `pid` no longer has the store.
Status WaitForRelease(const std::string& store_directory, pid_t pid) {
  constexpr std::chrono::seconds kPatience{60};
  constexpr std::chrono::milliseconds kInterval{20};
  const std::string lock_path = store::StorePaths(store_directory).Lock();
  const auto deadline = steady_clock::now() + kPatience;
  while (steady_clock::now() < deadline) {
    pid_t holder = 0;
    const auto lock = os::FileLock::Acquire(lock_path, &holder);
    if (lock.ok() || lock.status().code() != Code::kLocked || holder != pid) return {};
    std::this_thread::sleep_for(kInterval);
  }
  return Unreachable("store \"" + store_directory + "\" is unmounted, but process " +
                     std::to_string(pid) + " has not ended");
}

// A refused unmount, with the processes that are in the way in its hint.
Status WithUsers(Client& client, Status refused) {
  constexpr size_t kMostNamed = 5;
  const Result<json> status = client.Call("status", json::object());
  if (!status.ok() || !(*status)["mountpoint"].is_string()) return refused;
  const auto users = ProcessesUnder((*status)["mountpoint"].get<std::string>());
  if (users.empty()) return refused;
  std::string named;
  for (size_t i = 0; i < std::min(users.size(), kMostNamed); ++i) {
    named += (named.empty() ? "" : ", ") + users[i];
  }
  if (users.size() > kMostNamed)
    named += " and " + std::to_string(users.size() - kMostNamed) + " more";
  std::string hint = "in use by " + named;
  if (!refused.hint().empty()) hint += "; " + refused.hint();
  return std::move(refused).WithHint(hint);
}

Status RunUmount(const Globals& globals, const std::string& mountpoint, bool stop_servers) {
  const std::string directory = globals.StoreDirectory();
  if (!mountpoint.empty()) VELAFS_TRY(CheckMountedAt(mountpoint, directory));
  VELAFS_ASSIGN(const auto client, Client::Connect(directory));
  if (!client->is_remote()) {
    VELAFS_ASSIGN(const std::vector<std::string> detached, DetachDeadMounts(directory));
    if (detached.empty()) return Unreachable("store \"" + directory + "\" is not mounted");
    return PrintConfirmation(globals,
                             {{"mountpoint", detached[0]}, {"pid", nullptr}, {"store", directory}},
                             "detached \"" + detached[0] + "\", left by a daemon that died");
  }
  const Result<json> unmounted = client->Call("umount", {{"stop_servers", stop_servers}});
  if (unmounted.status().code() == Code::kRefused) return WithUsers(*client, unmounted.status());
  VELAFS_ASSIGN(const json gone, unmounted);
  VELAFS_TRY(WaitForRelease(directory, gone.value("pid", pid_t{0})));
  return PrintConfirmation(globals, gone, "unmounted store \"" + directory + "\"");
}

}  // namespace

void AddMount(CommandLine& line) {
  CLI::App* mount = line.Add("mount", "Mount the store and serve it",
                             "velafs mount\n  velafs mount /mnt/branches --foreground");
  const auto given = std::make_shared<MountArguments>();
  mount
      ->add_option("MOUNTPOINT", given->mountpoint,
                   "Existing directory (default: $VELAFS_MOUNTPOINT, else the configuration "
                   "file's, else STORE/mnt)")
      ->type_name("")
      ->check(NotEmpty());
  mount->add_flag("--foreground", given->foreground,
                  "Stay in the foreground and log to standard error");
  mount->add_flag("--no-idle-polling", given->no_idle_polling,
                  "Let the idle processors of a virtual machine halt while the mount is busy");
  mount->add_flag("--write-through", given->write_through,
                  "Send each write to the daemon at once, without the kernel's write cache");
  mount->add_flag("--no-autostart", given->no_autostart,
                  "Start no servers, whatever the policy autostart says");
  mount
      ->add_option("--stop-timeout", given->stop_timeout,
                   "How long servers may take to stop when the daemon ends, before an immediate "
                   "shutdown (default: 60s)")
      ->type_name("DURATION")
      ->check(NotEmpty());
  line.OnRun(mount, [given](const Globals& globals) { return RunMount(globals, *given); });

  CLI::App* umount = line.Add("umount", "Unmount the store and end its daemon",
                              "velafs umount\n  velafs umount --stop-servers");
  const auto mountpoint = std::make_shared<std::string>();
  umount
      ->add_option("MOUNTPOINT", *mountpoint,
                   "Mountpoint of the store; if it is another one, the command fails")
      ->type_name("")
      ->check(NotEmpty());
  const auto stop_servers = std::make_shared<bool>(false);
  umount->add_flag("--stop-servers", *stop_servers, "Stop the servers on its branches first");
  line.OnRun(umount, [mountpoint, stop_servers](const Globals& globals) {
    return RunUmount(globals, *mountpoint, *stop_servers);
  });
}

}  // namespace velafs::cli
