// `velafs gc`: space back.
#include "velafs/base/units.h"
#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct GcArguments {
  bool trash = false;
  std::optional<std::string> older_than;
  bool dry_run = false;
};

std::string RenderPurged(const json& purged) {
  const bool dry_run = purged["dry_run"].get<bool>();
  std::string text;
  for (const json& branch : purged["branches"]) {
    text += (dry_run ? "would purge \"" : "purged \"") + branch["name"].get<std::string>() +
            "\", deleted " + branch["deleted_at"].get<std::string>() + "\n";
  }
  return text + (dry_run ? "would free " : "freed ") +
         FormatSize(purged["freed_bytes"].get<uint64_t>());
}

Status RunGc(const Globals& globals, const GcArguments& given) {
  json arguments = {{"dry_run", given.dry_run}};
  if (given.older_than) arguments["older_than"] = *given.older_than;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json purged, client->Call("trash-purge", arguments));
  return PrintConfirmation(globals, purged, RenderPurged(purged));
}

}  // namespace

void AddGc(CommandLine& line) {
  CLI::App* command = line.Add("gc", "Give back space", "velafs gc --trash --older-than 1d");
  const auto given = std::make_shared<GcArguments>();
  command->add_flag("--trash", given->trash, "Of deleted branches, for good")->required();
  command->add_option("--older-than", given->older_than, "Only those deleted longer ago than this")
      ->type_name("D");
  command->add_flag("--dry-run", given->dry_run, "Only say what would go");
  line.OnRun(command, [given](const Globals& globals) { return RunGc(globals, *given); });
}

}  // namespace velafs::cli
