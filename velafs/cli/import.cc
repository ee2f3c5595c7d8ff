// `velafs import`: a source branch out of an existing PGDATA.
#include <filesystem>

#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/output.h"
#include "velafs/cli/progress_bar.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct ImportArguments {
  std::string name;
  std::string from_dir;
};

std::string RenderImported(const json& branch) {
  return "imported \"" + branch["name"].get<std::string>() + "\": " + branch["files"].dump() +
         " files, " + FormatSize(branch["logical_bytes"].get<uint64_t>()) + ", stored in " +
         FormatSize(branch["bytes_stored"].get<uint64_t>());
}

Status RunImport(const Globals& globals, const ImportArguments& given) {
  // The daemon's working directory is not ours.
  std::error_code error;
  const std::string from_dir = std::filesystem::absolute(given.from_dir, error).string();
  VELAFS_ASSIGN(const auto client, globals.Connect());
  CatchInterrupts();
  Result<json> branch = [&] {
    ProgressBar bar(!globals.quiet);
    const auto on_progress = [&bar](const json& event) {
      bar.Update(event.value("bytes_done", uint64_t{0}), event.value("bytes_total", uint64_t{0}));
      return !Interrupted();
    };
    return client->Call("import", {{"name", given.name}, {"from_dir", from_dir}}, on_progress);
  }();
  VELAFS_TRY(branch.status());
  for (const json& warning : (*branch)["warnings"]) {
    WriteNotice("warning: " + warning.get<std::string>());
  }
  return PrintConfirmation(globals, *branch, RenderImported(*branch));
}

}  // namespace

void AddImport(CommandLine& line) {
  CLI::App* command = line.Add("import", "Make a source branch out of a PGDATA",
                               "velafs import main --from-dir /var/lib/postgresql/15/main");
  const auto given = std::make_shared<ImportArguments>();
  command->add_option("NAME", given->name, "Name of the new branch")->required()->type_name("");
  command->add_option("--from-dir", given->from_dir, "PGDATA of a server that does not run")
      ->required()
      ->type_name("DIR")
      ->check(NotEmpty());
  line.OnRun(command, [given](const Globals& globals) { return RunImport(globals, *given); });
}

}  // namespace velafs::cli
