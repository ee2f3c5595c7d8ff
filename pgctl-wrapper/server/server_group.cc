#include "pgctl-wrapper/server/server_group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <sstream>

#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"
#include "velafs/base/cpus.h"
#include "velafs/base/units.h"
#include "velafs/os/scope.h"

namespace velafs::pgctl {
namespace {

using std::string;

constexpr uint64_t kMostGroupFileBytes = 1 << 20;
constexpr uint64_t kPeriodMicroseconds = 100'000;
constexpr char kOurPrefix[] = "velapg";

bool IsThere(const string& path) { return access(path.c_str(), F_OK) == 0; }

string ReadOr(const string& path, const string& otherwise) {
  const Result<string> text = ReadBoundedFile(path, kMostGroupFileBytes);
  return text.ok() ? *text : otherwise;
}

Status WriteGroupFile(const string& path, const string& text) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
    return {};
  }
  return SystemError(errno, "cannot write \"" + path + "\"");
}

// Where one controller's groups are.
struct Hierarchy {
  string mount;
  string own;  // the path of a process's group under the mount
  bool is_v2 = false;

  string Directory() const { return mount + (own == "/" ? "" : own); }
};

// The path that /proc/PID/cgroup, "4:memory:/a\n0::/b", has for a controller; of version 2 if the
// controller is empty.
std::optional<string> PathIn(const string& cgroup_text, const string& controller) {
  std::istringstream lines(cgroup_text);
  for (string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == string::npos) continue;
    const string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controllers == ",," ? controller.empty()
                            : controllers.find("," + controller + ",") != string::npos) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

// The first mount of a hierarchy that has the controller in version 1, or of version 2 if the
// controller is empty.
std::optional<string> MountOf(const string& controller) {
  std::istringstream lines(ReadOr("/proc/self/mountinfo", ""));
  for (string line; std::getline(lines, line);) {
    std::istringstream words(line);
    string skipped, root, mount, word, type, source, options;
    words >> skipped >> skipped >> skipped >> root >> mount;
    while (words >> word && word != "-") {
    }
    words >> type >> source >> options;
    if (controller.empty()
            ? type == "cgroup2"
            : type == "cgroup" &&
                  ("," + options + ",").find("," + controller + ",") != string::npos) {
      return mount;
    }
  }
  return std::nullopt;
}

std::optional<Hierarchy> HierarchyOf(const string& controller, const string& cgroup_text) {
  for (const string& name : {controller, string()}) {
    const auto own = PathIn(cgroup_text, name);
    const auto mount = MountOf(name);
    if (own && mount) return Hierarchy{*mount, *own, name.empty()};
  }
  return std::nullopt;
}

// One file of a group that limits it.
struct LimitFile {
  string controller;
  string name;
  string text;
};

std::vector<LimitFile> LimitFiles(const ServerLimits& limits, const string& controller,
                                  bool is_v2) {
  if (controller == "memory") {
    if (limits.memory_bytes == 0) return {};
    return {{controller, is_v2 ? "memory.max" : "memory.limit_in_bytes",
             std::to_string(limits.memory_bytes)}};
  }
  if (limits.cpu_percent == 0) return {};
  const string quota = std::to_string(limits.cpu_percent * kPeriodMicroseconds / 100);
  const string period = std::to_string(kPeriodMicroseconds);
  if (is_v2) return {{controller, "cpu.max", quota + " " + period}};
  return {{controller, "cpu.cfs_period_us", period}, {controller, "cpu.cfs_quota_us", quota}};
}

string DirectoryName(const string& branch) { return string(kOurPrefix) + "-" + branch; }

// A group of the branch's under the caller's, or, where version 2 has no groups below one that has
// processes, beside it.
Result<string> MakeDirectory(const Hierarchy& hierarchy, const string& controller,
                             const string& branch) {
  std::vector<string> parents = {hierarchy.Directory()};
  if (hierarchy.is_v2 && hierarchy.own != "/") {
    parents.push_back(parents[0].substr(0, parents[0].rfind('/')));
  }
  Status failure = Failed("there is no control group for \"" + controller + "\"");
  for (const string& parent : parents) {
    if (hierarchy.is_v2) (void)WriteGroupFile(parent + "/cgroup.subtree_control", "+" + controller);
    const string directory = parent + "/" + DirectoryName(branch);
    if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
      failure = SystemError(errno, "cannot make \"" + directory + "\"");
      continue;
    }
    const bool has_controller =
        IsThere(directory + (controller == "memory" ? "/memory.stat" : "/cpu.stat")) &&
        (!hierarchy.is_v2 || IsThere(directory + "/" + controller + ".max"));
    if (has_controller) return directory;
    rmdir(directory.c_str());
  }
  return failure;
}

Result<ServerGroup> PlanDirectories(const string& branch, const ServerLimits& limits) {
  ServerGroup group;
  group.kind = ServerGroup::Kind::kDirectory;
  group.limits = limits;
  const string own = ReadOr("/proc/self/cgroup", "");
  for (const string controller : {"cpu", "memory"}) {
    const auto hierarchy = HierarchyOf(controller, own);
    const bool is_wanted =
        !LimitFiles(limits, controller, /*is_v2=*/hierarchy && hierarchy->is_v2).empty();
    if (!is_wanted) continue;
    if (!hierarchy) return Failed("this machine has no control groups for " + controller);
    VELAFS_ASSIGN(const string directory, MakeDirectory(*hierarchy, controller, branch));
    for (const LimitFile& file : LimitFiles(limits, controller, hierarchy->is_v2)) {
      VELAFS_TRY(WriteGroupFile(directory + "/" + file.name, file.text));
    }
    group.directories.push_back(directory);
  }
  return group;
}

// Systemd takes limits also where the kernel has nothing to enforce them with, as in some
// containers.
bool HasController(const string& controller, const string& cgroup_text) {
  const auto hierarchy = HierarchyOf(controller, cgroup_text);
  if (!hierarchy || !hierarchy->is_v2) return hierarchy.has_value();
  std::istringstream words(ReadOr(hierarchy->mount + "/cgroup.controllers", ""));
  for (string word; words >> word;) {
    if (word == controller) return true;
  }
  return false;
}

Status CheckSystemdCanLimit(const ServerLimits& limits) {
  const string own = ReadOr("/proc/self/cgroup", "");
  for (const string controller : {"cpu", "memory"}) {
    if (LimitFiles(limits, controller, /*is_v2=*/true).empty()) continue;
    if (!HasController(controller, own)) {
      return Failed("this machine has no control groups for " + controller);
    }
  }
  return {};
}

Status SetUnitLimits(const ServerGroup& group) {
  const ServerLimits& limits = group.limits;
  std::vector<string> words = {"systemctl", "--runtime", "set-property", group.unit};
  words.push_back("CPUQuota=" +
                  (limits.cpu_percent == 0 ? "" : std::to_string(limits.cpu_percent) + "%"));
  words.push_back("MemoryMax=" + (limits.memory_bytes == 0 ? string("infinity")
                                                           : std::to_string(limits.memory_bytes)));
  Command command;
  command.argv = std::move(words);
  VELAFS_ASSIGN(const Captured captured, Capture(std::move(command)));
  if (captured.exit_status == 0) return {};
  return Failed("cannot limit \"" + group.unit + "\"",
                QuoteLastLines("systemctl says", captured.err));
}

// Limits that an earlier start has set stay until others are set.
bool HasRuntimeLimits(const string& unit) {
  return IsThere("/run/systemd/system.control/" + unit + ".d");
}

Status CannotLimit(const string& branch, const string& why) {
  return Refused("cannot limit the server of branch \"" + branch +
                     "\" as the policies cpus and "
                     "memory say: " +
                     why,
                 "start it as root or where systemd runs, or have an administrator unset them: "
                 "velafs policy unset " +
                     branch + " cpus memory");
}

// Of a name that no other has, not even a scope that is about to end.
os::Scope ScopeOf(const ServerGroup& group) {
  os::Scope scope{group.unit + "-" + std::to_string(getpid()),
                  "PostgreSQL server of a velafs branch"};
  if (group.limits.memory_bytes != 0) scope.memory_max_bytes = group.limits.memory_bytes;
  if (group.limits.cpu_percent != 0) {
    scope.cpus = static_cast<double>(group.limits.cpu_percent) / 100;
  }
  return scope;
}

}  // namespace

Result<ServerLimits> LimitsOf(Session& session, const string& branch) {
  ServerLimits limits;
  VELAFS_ASSIGN(const string cpus, session.Policy(branch, "cpus"));
  VELAFS_ASSIGN(const string memory, session.Policy(branch, "memory"));
  if (!cpus.empty()) {
    VELAFS_ASSIGN(limits.cpu_percent, ParseCpus(cpus));
  }
  if (!memory.empty()) {
    VELAFS_ASSIGN(limits.memory_bytes, ParseSize(memory));
  }
  return limits;
}

bool IsServersUnit(std::string_view unit) {
  const bool is_ours =
      unit.starts_with("velapg@") || unit.starts_with("velapg-") || unit.starts_with("postgresql@");
  return is_ours && unit.ends_with(".service");
}

Result<ServerGroup> PlanServerGroup(const string& branch, const ServerLimits& limits,
                                    bool outlives_caller) {
  ServerGroup group;
  group.limits = limits;
  const string unit = os::ServiceOfThisProcess();
  const bool is_jobs = outlives_caller && !unit.empty();
  if (IsServersUnit(unit)) {
    const bool is_root = geteuid() == 0;
    const bool is_set = limits.any() || (is_root && HasRuntimeLimits(unit));
    if (is_set && !is_root) return CannotLimit(branch, "only root may limit " + unit);
    const Status can_limit = CheckSystemdCanLimit(limits);
    if (!can_limit.ok()) return CannotLimit(branch, can_limit.message());
    group.kind = is_set ? ServerGroup::Kind::kUnit : ServerGroup::Kind::kCallers;
    group.unit = unit;
    return group;
  }
  if (!limits.any() && !is_jobs) return group;
  if (os::CanHaveScope()) {
    const Status can_limit = CheckSystemdCanLimit(limits);
    if (!can_limit.ok()) return CannotLimit(branch, can_limit.message());
    group.kind = ServerGroup::Kind::kScope;
    group.unit = DirectoryName(branch);
    return group;
  }
  if (!limits.any()) {
    group.ends_with = unit;
    return group;
  }
  Result<ServerGroup> directories = PlanDirectories(branch, limits);
  if (directories.ok()) return directories;
  return CannotLimit(branch, directories.status().message());
}

Status JoinServerGroup(const ServerGroup& group) {
  const string pid = std::to_string(getpid());
  switch (group.kind) {
    case ServerGroup::Kind::kCallers:
      return {};
    case ServerGroup::Kind::kUnit:
      return SetUnitLimits(group);
    case ServerGroup::Kind::kScope:
      return os::EnterScope(ScopeOf(group));
    case ServerGroup::Kind::kDirectory:
      for (const string& directory : group.directories) {
        VELAFS_TRY(WriteGroupFile(directory + "/cgroup.procs", pid));
      }
      return {};
  }
  return {};
}

void RemoveServerGroup(const string& branch) {
  const string own = ReadOr("/proc/self/cgroup", "");
  for (const string controller : {"cpu", "memory"}) {
    const auto hierarchy = HierarchyOf(controller, own);
    if (!hierarchy) continue;
    const string directory = hierarchy->Directory();
    for (const string& parent : {directory, directory.substr(0, directory.rfind('/'))}) {
      rmdir((parent + "/" + DirectoryName(branch)).c_str());
    }
  }
}

ServerLimits LimitsOfProcess(pid_t pid) {
  ServerLimits limits;
  const string text = ReadOr("/proc/" + std::to_string(pid) + "/cgroup", "");
  const auto read = [&](const string& controller, const string& v1, const string& v2) {
    const auto hierarchy = HierarchyOf(controller, text);
    if (!hierarchy) return string();
    const string name = hierarchy->own.substr(hierarchy->own.rfind('/') + 1);
    if (!name.starts_with(kOurPrefix) && !IsServersUnit(name)) return string();
    return ReadOr(hierarchy->Directory() + "/" + (hierarchy->is_v2 ? v2 : v1), "");
  };
  const auto number = [](const string& word) {  // 0 of "max" and of -1
    uint64_t value = 0;
    std::from_chars(word.data(), word.data() + word.size(), value);
    return value;
  };
  constexpr uint64_t kNoLimit = uint64_t{1} << 62;  // what version 1 says is near 2^63
  const uint64_t memory = number(read("memory", "memory.limit_in_bytes", "memory.max"));
  if (memory < kNoLimit) limits.memory_bytes = memory;
  const uint64_t quota = number(read("cpu", "cpu.cfs_quota_us", "cpu.max"));
  limits.cpu_percent = quota * 100 / kPeriodMicroseconds;
  return limits;
}

}  // namespace velafs::pgctl
