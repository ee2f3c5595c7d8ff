#include "velafs/cli/wrapper.h"

#include <unistd.h>

#include <filesystem>

#include "velafs/api/wire.h"
#include "velafs/cli/child.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

std::string VelapgProgram() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string beside = (self.parent_path() / "velapg").string();
  return !error && access(beside.c_str(), X_OK) == 0 ? beside : "velapg";
}

std::vector<std::string> Command(const Globals& globals, const std::vector<std::string>& words) {
  std::vector<std::string> command = {VelapgProgram(), "--store", globals.StoreDirectory(),
                                      "--quiet"};
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

}  // namespace

Result<json> CallVelapg(const Globals& globals, const std::vector<std::string>& words) {
  std::vector<std::string> command = Command(globals, words);
  command.emplace_back("--json");
  VELAFS_ASSIGN(const Child child, RunChild(std::move(command), ChildMessages::kDropped));
  VELAFS_ASSIGN(const json document, api::FromText(child.out));
  if (child.exit_status == 0) return document;
  if (document.contains("error")) return api::OutcomeFromJson(document);
  return Failed("velapg ended with exit status " + std::to_string(child.exit_status));
}

Status Checkpoint(const Globals& globals, const std::string& branch) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json shown, client->Call("show", {{"name", branch}}));
  if (shown.value("state", "") != "running") return {};
  VELAFS_ASSIGN(
      const Child child,
      RunChild(Command(globals, {"psql", branch, "--superuser", "-qXw", "-c", "CHECKPOINT"})));
  if (child.exit_status == 0) return {};
  return Failed("the server on branch \"" + branch + "\" wrote no checkpoint");
}

}  // namespace velafs::cli
