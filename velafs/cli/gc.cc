// `velafs gc`: space back.
#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/output.h"
#include "velafs/cli/progress_bar.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct GcArguments {
  bool trash = false;
  std::optional<std::string> older_than;
  bool dry_run = false;
};

Result<json> Collect(Client& client, bool dry_run, bool quiet) {
  CatchInterrupts();
  ProgressBar bar(!quiet);
  const auto on_progress = [&bar](const json& event) {
    bar.Update(event.value("bytes_done", uint64_t{0}), event.value("bytes_total", uint64_t{0}));
    return !Interrupted();
  };
  return client.Call("gc", {{"dry_run", dry_run}}, on_progress);
}

std::string RenderFreed(const json& freed) {
  const bool dry_run = freed["dry_run"].get<bool>();
  std::string text;
  for (const json& branch : freed["branches"]) {
    text += (dry_run ? "would purge \"" : "purged \"") + branch["name"].get<std::string>() +
            "\", deleted " + branch["deleted_at"].get<std::string>() + "\n";
  }
  return text + (dry_run ? "would free " : "freed ") +
         FormatSize(freed["freed_bytes"].get<uint64_t>());
}

Status RunGc(const Globals& globals, const GcArguments& given) {
  if (given.older_than && !given.trash) return UsageError("--older-than goes with --trash");
  VELAFS_ASSIGN(const auto client, globals.Connect());
  json purged = {{"branches", json::array()}, {"freed_bytes", 0}};
  if (given.trash) {
    json arguments = {{"dry_run", given.dry_run}};
    if (given.older_than) arguments["older_than"] = *given.older_than;
    VELAFS_ASSIGN(purged, client->Call("trash-purge", arguments));
  }
  VELAFS_ASSIGN(json freed, Collect(*client, given.dry_run, globals.quiet));
  freed["branches"] = purged["branches"];
  freed["freed_bytes"] =
      freed["freed_bytes"].get<uint64_t>() + purged["freed_bytes"].get<uint64_t>();
  for (const json& damage : freed["damaged"]) {
    WriteNotice("warning: left as it is: " + damage.get<std::string>());
  }
  return PrintConfirmation(globals, freed, RenderFreed(freed));
}

}  // namespace

void AddGc(CommandLine& line) {
  CLI::App* command = line.Add("gc", "Free the space of content that is no longer used",
                               "velafs gc\n  velafs gc --trash --older-than 1d");
  const auto given = std::make_shared<GcArguments>();
  command->add_flag("--trash", given->trash, "Purge deleted branches first, for good");
  command->add_option("--older-than", given->older_than, "Only those deleted longer ago than this")
      ->type_name("D");
  command->add_flag("--dry-run", given->dry_run, "Only say what would be freed");
  line.OnRun(command, [given](const Globals& globals) { return RunGc(globals, *given); });
}

}  // namespace velafs::cli
