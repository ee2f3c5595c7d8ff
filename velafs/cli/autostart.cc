#include "velafs/cli/autostart.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "velafs/cli/child.h"
#include "velafs/cli/daemon_place.h"
#include "velafs/cli/output.h"
#include "velafs/cli/wrapper.h"
#include "velafs/os/scope.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

// Branches are their users', and so is how long a server takes: it may not hold up those behind it
// for long, nor the mount.
constexpr std::chrono::seconds kTimeForOne{20};
constexpr std::chrono::seconds kTimeForAll{120};

// A server that was cut off has left the file that marks its directory.
bool IsMarked(const std::string& mountpoint, const std::string& branch) {
  struct stat info {};
  return lstat((mountpoint + "/" + branch + "/postmaster.pid").c_str(), &info) == 0;
}

// A unit of its own: the daemon's has the daemon's rank when memory runs out, and its limits. The
// unit waits for the daemon by itself.
bool StartUnit(const std::string& branch) {
  const auto child =
      RunChild({"systemctl", "start", "--no-block", "velapg@" + branch + ".service"});
  if (child.ok() && child->exit_status == 0) return true;
  WriteNotice("warning: cannot start the unit of the server on branch \"" + branch + "\"");
  return false;
}

}  // namespace

std::vector<std::string> StartServers(const Globals& globals, const json& live) {
  const bool has_units =
      os::ServiceOfThisProcess() == kService && os::HasSystemUnit("velapg@.service");
  const json wanted = live.value(kAutostart, json::object());
  auto branches = wanted.value("surely", std::vector<std::string>());
  const std::string mountpoint = live.value("mountpoint", "");
  for (const std::string& branch : wanted.value("if_marked", std::vector<std::string>())) {
    if (IsMarked(mountpoint, branch)) branches.push_back(branch);
  }
  std::vector<std::string> started;
  const auto deadline = std::chrono::steady_clock::now() + kTimeForAll;
  for (const std::string& branch : branches) {
    if (has_units) {
      if (StartUnit(branch)) started.push_back(branch);
      continue;
    }
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(
        deadline - std::chrono::steady_clock::now());
    if (left <= std::chrono::seconds(0)) {
      WriteNotice("warning: the server on branch \"" + branch +
                  "\" was not started in time: " + "velapg start " + branch + " starts it");
      continue;
    }
    const std::string time = std::to_string(std::min(left, kTimeForOne).count()) + "s";
    const Result<json> server = CallVelapg(globals, {"start", branch, "--timeout", time});
    if (server.ok()) {
      started.push_back(branch);
    } else {
      WriteNotice("warning: cannot start the server on branch \"" + branch +
                  "\": " + server.status().message());
    }
  }
  return started;
}

}  // namespace velafs::cli
