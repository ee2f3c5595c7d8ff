#include "velafs/cli/autostart.h"

#include <sys/stat.h>

#include "velafs/cli/output.h"
#include "velafs/cli/wrapper.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

// A server that was cut off has left the file that marks its directory.
bool IsMarked(const std::string& mountpoint, const std::string& branch) {
  struct stat info {};
  return lstat((mountpoint + "/" + branch + "/postmaster.pid").c_str(), &info) == 0;
}

}  // namespace

std::vector<std::string> StartServers(const Globals& globals, const json& live) {
  const json wanted = live.value(kAutostart, json::object());
  auto branches = wanted.value("surely", std::vector<std::string>());
  const std::string mountpoint = live.value("mountpoint", "");
  for (const std::string& branch : wanted.value("if_marked", std::vector<std::string>())) {
    if (IsMarked(mountpoint, branch)) branches.push_back(branch);
  }
  std::vector<std::string> started;
  for (const std::string& branch : branches) {
    const Result<json> server = CallVelapg(globals, {"start", branch});
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
