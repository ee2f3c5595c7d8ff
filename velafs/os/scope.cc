#include "velafs/os/scope.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <vector>

#include "velafs/os/unique_fd.h"

namespace velafs::os {
namespace {

constexpr char kSuffix[] = ".scope";

bool IsThere(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

bool IsBooted() { return IsThere("/run/systemd/system"); }

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
}

std::string OwnCgroups() {
  const UniqueFd file(open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC));
  return file ? ReadAll(file.get()) : "";
}

// Runs busctl, which is a part of systemd; what it complains of is the failure.
Status RunBusctl(std::vector<std::string> words) {
  words.insert(words.begin(), "busctl");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  write_end.Reset();
  if (error != 0) return SystemError(error, "cannot run busctl");
  std::string complaint = ReadAll(read_end.get());
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  while (complaint.ends_with('\n')) complaint.pop_back();
  return Failed("systemd says: " + complaint);
}

// Of StartTransientUnit: name, mode, properties with their count, and no further units.
std::vector<std::string> CallFor(const Scope& scope) {
  std::vector<std::string> properties = {"Description", "s", scope.description,       "PIDs",
                                         "au",          "1", std::to_string(getpid())};
  int count = 2;
  if (scope.memory_max_bytes) {
    properties.insert(properties.end(),
                      {"MemoryMax", "t", std::to_string(*scope.memory_max_bytes)});
    ++count;
  }
  if (scope.cpus) {
    const auto per_second = static_cast<uint64_t>(*scope.cpus * 1e6);
    properties.insert(properties.end(), {"CPUQuotaPerSecUSec", "t", std::to_string(per_second)});
    ++count;
  }
  std::vector<std::string> words = {geteuid() == 0 ? "--system" : "--user",
                                    "--timeout=10",
                                    "call",
                                    "org.freedesktop.systemd1",
                                    "/org/freedesktop/systemd1",
                                    "org.freedesktop.systemd1.Manager",
                                    "StartTransientUnit",
                                    "ssa(sv)a(sa(sv))",
                                    scope.name + kSuffix,
                                    "fail",
                                    std::to_string(count)};
  words.insert(words.end(), properties.begin(), properties.end());
  words.emplace_back("0");
  return words;
}

// "user@1000.service" is where a user's own manager and all it runs are.
bool IsManager(const std::string& unit) { return unit.starts_with("user@"); }

}  // namespace

bool CanHaveScope() {
  if (!IsBooted()) return false;
  if (geteuid() == 0) return true;
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  const std::string directory =
      runtime != nullptr && *runtime != '\0' ? runtime : "/run/user/" + std::to_string(geteuid());
  return IsThere(directory + "/bus") && IsThere(directory + "/systemd/private");
}

Status EnterScope(const Scope& scope) {
  constexpr std::chrono::seconds kPatience{10};
  constexpr std::chrono::milliseconds kInterval{5};
  const std::string cannot = "cannot get the scope \"" + scope.name + "\"";
  if (!CanHaveScope()) return Failed(cannot + ": no systemd of this user runs");
  VELAFS_TRY(RunBusctl(CallFor(scope)).WithContext(cannot));
  // The call only asks for it.
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (OwnCgroups().find("/" + scope.name + kSuffix) == std::string::npos) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return Failed(cannot + ": systemd does not move process " + std::to_string(getpid()));
    }
    std::this_thread::sleep_for(kInterval);
  }
  return {};
}

std::string ServiceIn(const std::string& cgroups) {
  std::istringstream lines(cgroups);
  for (std::string line; std::getline(lines, line);) {
    // Systemd's own hierarchy: the one of version 2, or the one that has its name.
    const bool is_systemds = line.starts_with("0::") || line.find(":name=systemd:") != line.npos;
    if (!is_systemds) continue;
    const std::string last = line.substr(line.rfind('/') + 1);
    if (last.ends_with(".service") && !IsManager(last)) return last;
  }
  return "";
}

std::string ServiceOfThisProcess() { return ServiceIn(OwnCgroups()); }

bool HasSystemUnit(const std::string& unit) {
  if (!IsBooted()) return false;
  for (const char* directory :
       {"/etc/systemd/system/", "/run/systemd/system/", "/usr/local/lib/systemd/system/",
        "/usr/lib/systemd/system/", "/lib/systemd/system/"}) {
    if (IsThere(directory + unit)) return true;
  }
  return false;
}

}  // namespace velafs::os
