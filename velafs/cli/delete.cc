// `velafs delete`: branches away.
#include <algorithm>

#include "velafs/base/units.h"
#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct DeleteArguments {
  std::vector<std::string> names;
  bool force = false;
  bool purge = false;
  bool dry_run = false;
};

Result<json> DeleteAll(Client& client, const DeleteArguments& given, bool dry_run) {
  json deleted = json::array();
  for (const std::string& name : given.names) {
    VELAFS_ASSIGN(json branch, client.Call("delete", {{"name", name},
                                                      {"force", given.force},
                                                      {"purge", given.purge},
                                                      {"dry_run", dry_run}}));
    deleted.push_back(std::move(branch));
  }
  return json{{"deleted", std::move(deleted)}, {"dry_run", dry_run}};
}

std::string RenderDeleted(const json& result) {
  const std::string verb = result["dry_run"].get<bool>() ? "would delete" : "deleted";
  std::string text;
  for (const json& branch : result["deleted"]) {
    if (!text.empty()) text += "\n";
    text += verb + " \"" + branch["name"].get<std::string>() + "\" (" +
            FormatSize(branch["own_bytes"].get<uint64_t>()) + ")";
  }
  return text;
}

Status RunDelete(const Globals& globals, DeleteArguments given) {
  std::sort(given.names.begin(), given.names.end());
  given.names.erase(std::unique(given.names.begin(), given.names.end()), given.names.end());
  VELAFS_ASSIGN(const auto client, globals.Connect());
  // A mistake in the last name must not cost the branches named before it.
  VELAFS_ASSIGN(json result, DeleteAll(*client, given, /*dry_run=*/true));
  if (!given.dry_run) {
    VELAFS_ASSIGN(result, DeleteAll(*client, given, /*dry_run=*/false));
  }
  return PrintConfirmation(globals, result, RenderDeleted(result));
}

}  // namespace

void AddDelete(CommandLine& line) {
  CLI::App* command = line.Add("delete", "Delete branches; `velafs undelete` brings them back",
                               "velafs delete pr-42 pr-43");
  const auto given = std::make_shared<DeleteArguments>();
  command->add_option("NAME", given->names, "Branch")->required()->type_name("");
  command->add_flag("--force", given->force, "Even while a server runs on it");
  command->add_flag("--purge", given->purge, "For good, past the trash");
  command->add_flag("--dry-run", given->dry_run, "Only say what would be deleted");
  line.OnRun(command, [given](const Globals& globals) { return RunDelete(globals, *given); });
}

}  // namespace velafs::cli
