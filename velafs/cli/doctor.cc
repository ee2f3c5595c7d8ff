// `velafs doctor`: checks that this machine and store have all that velafs and velapg need.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <boost/filesystem.hpp>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <sstream>

#include "velafs/api/configuration.h"
#include "velafs/base/counted.h"
#include "velafs/base/text.h"
#include "velafs/base/units.h"
#include "velafs/cli/child.h"
#include "velafs/cli/command.h"
#include "velafs/cli/daemon_place.h"
#include "velafs/cli/mountpoint.h"
#include "velafs/cli/output.h"
#include "velafs/configuration.h"
#include "velafs/fuse/mount.h"
#include "velafs/os/scope.h"
#include "velafs/os/unique_fd.h"

namespace velafs::cli {
namespace {

using nlohmann::json;
namespace fs = boost::filesystem;

constexpr uint64_t kLittleSpaceBytes = uint64_t{1} << 30;
constexpr rlim_t kFewDescriptors = 4096;

class Findings {
 public:
  void Good(const std::string& what, const std::string& found) { Add(what, "ok", found, ""); }
  void Warn(const std::string& what, const std::string& found, const std::string& hint) {
    Add(what, "warning", found, hint);
  }
  void Bad(const std::string& what, const std::string& found, const std::string& hint) {
    Add(what, "failed", found, hint);
    ++failed_;
  }
  size_t failed() const { return failed_; }
  json ToJson() const { return {{"checks", checks_}, {"ok", failed_ == 0}}; }

 private:
  void Add(const std::string& what, const char* state, const std::string& found,
           const std::string& hint) {
    checks_.push_back({{"check", what}, {"state", state}, {"found", found}, {"hint", hint}});
  }

  json checks_ = json::array();
  size_t failed_ = 0;
};

std::string InPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string candidate = directory + "/" + program;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

void CheckFuse(Findings& findings) {
  const os::UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device.get() >= 0) {
    findings.Good("fuse", "/dev/fuse can be opened");
  } else if (errno == ENOENT || errno == ENODEV) {
    findings.Bad("fuse", "there is no /dev/fuse",
                 "modprobe fuse; a container needs --device /dev/fuse");
  } else {
    findings.Bad("fuse", "/dev/fuse cannot be opened: " + Errno(errno).message(),
                 "mount as root, or let your user open it: mode 0666 is usual");
  }
  if (geteuid() == 0) return;
  if (const std::string found = InPath("fusermount3"); !found.empty()) {
    findings.Good("fusermount3", found);
  } else {
    findings.Bad("fusermount3", "not in $PATH", "install the package fuse3, or mount as root");
  }
}

void CheckKernel(Findings& findings) {
  utsname name{};
  if (uname(&name) != 0) return;
  int major = 0;
  int minor = 0;
  const bool known = std::sscanf(name.release, "%d.%d", &major, &minor) == 2;
  if (known && (major < 5 || (major == 5 && minor < 4))) {
    findings.Warn("kernel", name.release, "use Linux 5.4 or newer");
  } else {
    findings.Good("kernel", name.release);
  }
}

void CheckLimits(Findings& findings) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const std::string found = limit.rlim_max == RLIM_INFINITY
                                ? "no limit of open files"
                                : "up to " + std::to_string(limit.rlim_max) + " open files";
  if (limit.rlim_max >= kFewDescriptors) return findings.Good("limits", found);
  findings.Warn("limits", found, "raise the hard limit (ulimit -Hn): fewer is slower");
}

// Where PostgreSQL's packages put its server programs; `velapg start --pgbin` takes others.
void CheckServerPrograms(Findings& findings) {
  std::string versions;
  for (const auto& [root, prefix] : {std::pair("/usr/lib/postgresql", ""), {"/usr", "pgsql-"}}) {
    boost::system::error_code error;
    for (fs::directory_iterator at(root, error), end; !error && at != end; at.increment(error)) {
      const std::string name = at->path().filename().string();
      if (!name.starts_with(prefix)) continue;
      if (access((at->path() / "bin/postgres").c_str(), X_OK) != 0) continue;
      versions += (versions.empty() ? "" : ", ") + name;
    }
  }
  if (!versions.empty()) {
    findings.Good("postgresql", "server programs of " + versions);
  } else if (const std::string found = InPath("postgres"); !found.empty()) {
    findings.Good("postgresql", found);
  } else {
    findings.Warn("postgresql", "no server programs found",
                  "install the package postgresql, or name them with velapg start --pgbin DIR");
  }
}

// The nearest directory there is, at or above the store.
std::string ExistingAbove(const std::string& directory) {
  fs::path path(directory);
  boost::system::error_code error;
  while (path.has_parent_path() && !fs::exists(path, error)) path = path.parent_path();
  return path.string();
}

// Names a filesystem on which the store cannot keep its promises; empty for others.
std::optional<std::string> UnfitFilesystem(const std::string& path) {
  constexpr long kTmpfs = 0x01021994;
  constexpr long kRamfs = 0x858458f6;
  constexpr long kNfs = 0x6969;
  constexpr long kFuse = 0x65735546;
  struct statfs info {};
  if (statfs(path.c_str(), &info) != 0) return {};
  switch (static_cast<long>(info.f_type)) {
    case kTmpfs:
    case kRamfs:
      return "is in memory, and gone with the next start of the machine";
    case kNfs:
      return "is NFS: its server decides what fsync and a full disk do";
    case kFuse:
      return "is a FUSE filesystem, which decides what fsync does";
    default:
      return {};
  }
}

void CheckDisk(Findings& findings, const std::string& store) {
  const std::string path = ExistingAbove(store);
  if (const auto why = UnfitFilesystem(path)) {
    findings.Warn("filesystem", Quoted(path) + " " + *why, "use a local disk: ext4, XFS or btrfs");
  }
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return;
  const uint64_t free_bytes = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  const std::string found = FormatSize(free_bytes) + " free at " + Quoted(path);
  if (free_bytes >= kLittleSpaceBytes) return findings.Good("space", found);
  findings.Warn("space", found, "free some space, for example with velafs gc --trash");
}

// Reports the rights that the daemon has given up.
void CheckSandbox(Findings& findings, Client& daemon) {
  const auto status = daemon.Call("status", json::object());
  if (!status.ok()) return;
  const auto found = status->find("sandbox");
  if (found == status->end() || !found->is_object()) {
    return findings.Warn("sandbox", "the daemon has all its rights", "it is of another version");
  }
  std::string left;
  for (const json& name : found->at("capabilities")) {
    left += (left.empty() ? "" : ", ") + name.get<std::string>();
  }
  const std::string rights = left.empty() ? "the daemon has no capabilities"
                                          : "of the capabilities the daemon has " + left;
  if (found->at("system_calls_filtered") == true) {
    return findings.Good("sandbox", rights + "; its system calls are filtered");
  }
  findings.Warn("sandbox", rights + "; its system calls are not filtered",
                "use a kernel with CONFIG_SECCOMP_FILTER");
}

// True when there is a store, and this user may use it.
void CheckStore(Findings& findings, const Globals& globals) {
  const std::string store = globals.StoreDirectory();
  const auto client = globals.Connect();
  if (!client.ok()) {
    const Status& why = client.status();
    if (why.code() == Code::kNotFound) return findings.Warn("store", why.message(), why.hint());
    return findings.Bad("store", why.message(), why.hint());
  }
  const auto stats = (*client)->Call("stats", json::object());
  if (!stats.ok()) return findings.Bad("store", stats.status().message(), stats.status().hint());
  findings.Good("store", Quoted(store) + " with " +
                             Counted(stats->value("branches", uint64_t{0}), "branch", "branches") +
                             ", " + FormatSize(stats->value("stored_bytes", uint64_t{0})));
  if ((*client)->is_remote()) {
    findings.Good("daemon", "answers");
    return CheckSandbox(findings, **client);
  }
  findings.Good("daemon", "none runs; velafs mount, or velapg start, starts one");
}

// Reports what each user uses, to admins only, if the store has several users.
void CheckUsers(Findings& findings, const Globals& globals) {
  constexpr size_t kMostUsers = 20;
  const auto client = globals.Connect();
  if (!client.ok()) return;
  const auto stats = (*client)->Call("stats", json::object());
  if (!stats.ok()) return;
  const json users = stats->value("users", json::object());
  if (users.size() < 2) return;
  size_t told = 0;
  for (const auto& [name, user] : users.items()) {
    if (++told > kMostUsers) {
      return findings.Good("users", std::to_string(users.size() - kMostUsers) +
                                        " more; velafs metrics shows those with most");
    }
    const auto count = [&user = user](const char* key) {
      return std::to_string(user.value(key, uint64_t{0}));
    };
    const uint64_t branches = user.value("branches", uint64_t{0});
    const std::string found = Quoted(name) + " has " + Counted(branches, "branch", "branches") +
                              " and " + count("trashed") + " in the trash, with " +
                              FormatSize(user.value("own_bytes", uint64_t{0})) + " and " +
                              count("names") + " names of their own; " + count("calls_running") +
                              " calls run, " + count("calls_waiting") + " wait";
    if (user.value("failures_folded", uint64_t{0}) == 0) {
      findings.Good("users", found);
    } else {
      findings.Warn("users",
                    found + "; " + count("failures_folded") + " that failed are not logged yet",
                    "see what fails: velafs audit --user " + name);
    }
  }
}

// Clones share the target of a link that leads out; bookmarks and exports do not have it.
void CheckTablespaces(Findings& findings, const Globals& globals) {
  const auto client = globals.Connect();
  if (!client.ok()) return;  // CheckStore has told of it
  const auto listed = (*client)->Call("list", json::object());
  if (!listed.ok()) return;
  for (const json& branch : listed->at("branches")) {
    const std::string name = branch["name"];
    const auto found = (*client)->Call("tablespaces", {{"name", name}});
    if (!found.ok()) continue;  // gone by now, or damaged: a scrub's to tell
    for (const json& one : found->at("tablespaces")) {
      if (one["form"] != "leads out") continue;
      const std::string oid = one["oid"];
      const std::string command = "velafs tablespaces " + name;
      findings.Bad("tablespaces",
                   "tablespace " + oid + " of branch " + Quoted(name) + " leads out of it, to " +
                       Quoted(one["target"].get_ref<const std::string&>()),
                   "stop its server; then " + command +
                       " --bring-in copies it into the branch, or " + command + " --drop " + oid +
                       " removes a link whose target is gone");
    }
  }
}

// Reports other facts about the mount.
std::string AboutMount(const std::string& mountpoint, const std::string& store) {
  std::string about;
  if (mountpoint.starts_with(fuse::MountSource(store) + "/")) {
    about += ", inside the store: count with du -x, and exclude it from backups and updatedb";
  }
  if (geteuid() != 0) {
    about +=
        ", for this user's processes only: containers of root's Docker daemon need a mount made by "
        "root";
  }
  return about;
}

void CheckMounts(Findings& findings, const Globals& globals) {
  for (const std::string& mountpoint : MountpointsOf(globals.StoreDirectory())) {
    if (IsDeadMountpoint(mountpoint)) {
      findings.Warn("mount", Quoted(mountpoint) + " was left by a daemon that died",
                    "velafs mount detaches it");
    } else {
      findings.Good("mount", Quoted(mountpoint) + AboutMount(mountpoint, globals.StoreDirectory()));
    }
  }
}

std::string Render(const json& result, const Style& style) {
  std::string text;
  for (const json& check : result["checks"]) {
    const std::string state = check["state"];
    const std::string mark = state == "ok"        ? style.Green("ok     ")
                             : state == "warning" ? style.Bold("warning")
                                                  : style.Red("failed ");
    text += mark + "  " + check["check"].get<std::string>() + ": " +
            check["found"].get<std::string>() + "\n";
    const std::string hint = check["hint"];
    if (!hint.empty()) text += "         " + style.Dim(hint) + "\n";
  }
  return text;
}

// The store that the file names is the one to look at.
void CheckConfiguration(Findings& findings, const Globals& globals) {
  const auto file = api::Configuration::Load();
  if (!file.ok()) {
    return findings.Bad("configuration", file.status().message(), file.status().hint());
  }
  static_cast<void>(UseConfiguredStore(globals.store));
  if (!file->file().empty()) findings.Good("configuration", Quoted(file->file()));
}

// A user's laptop has none, and needs none.
void CheckService(Findings& findings, const std::string& store) {
  if (!os::HasSystemUnit(kService)) return;
  const auto state = RunChild({"systemctl", "is-active", kService}, ChildMessages::kDropped);
  const std::string word = state.ok() ? state->out.substr(0, state->out.find('\n')) : "";
  const std::string found = std::string(kService) + " is " + (word.empty() ? "unknown" : word);
  if (word == "active" || !IsOfService(store)) return findings.Good("service", found);
  findings.Warn("service", found,
                "systemctl enable --now velafs; if it fails: journalctl -u velafs");
}

Status RunDoctor(const Globals& globals) {
  Findings findings;
  CheckConfiguration(findings, globals);
  CheckKernel(findings);
  CheckFuse(findings);
  CheckLimits(findings);
  CheckServerPrograms(findings);
  CheckDisk(findings, globals.StoreDirectory());
  CheckStore(findings, globals);
  CheckUsers(findings, globals);
  CheckTablespaces(findings, globals);
  CheckMounts(findings, globals);
  CheckService(findings, globals.StoreDirectory());
  VELAFS_TRY(PrintResult(globals, findings.ToJson(), Render));
  if (findings.failed() == 0) return {};
  return Failed(std::to_string(findings.failed()) + " of the checks failed");
}

}  // namespace

void AddDoctor(CommandLine& line) {
  CLI::App* command = line.Add("doctor",
                               "Check that machine and store have everything that velafs needs; "
                               "exit status 1 if something is missing",
                               "velafs doctor\n  velafs doctor --json");
  line.OnRun(command, RunDoctor);
}

}  // namespace velafs::cli
