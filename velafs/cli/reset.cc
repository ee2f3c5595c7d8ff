// `velafs reset`: puts a branch back to its parent's state.
#include "velafs/base/units.h"
#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct ResetArguments {
  std::string name;
  std::optional<std::string> to;
  bool no_bookmark = false;
  bool dry_run = false;
};

std::string DescribeReset(const ResetArguments& given, const json& reset) {
  std::string text = std::string(given.dry_run ? "would reset" : "reset") + " \"" + given.name +
                     "\" to \"" + reset["source"].get<std::string>() + "\"; ";
  if (reset["bookmark"].is_string()) {
    text += std::string("its previous state ") + (given.dry_run ? "would be" : "is") +
            " kept as \"" + reset["bookmark"].get<std::string>() + "\"";
  } else {
    text += FormatSize(reset["lost_bytes"].get<uint64_t>()) + " of its own data " +
            (given.dry_run ? "would be lost" : "are lost");
  }
  if (!reset["refusal"].is_string()) return text;
  return text + "; it would be refused now: " + reset["refusal"].get<std::string>();
}

Status RunReset(const Globals& globals, const ResetArguments& given) {
  json arguments = {{"name", given.name}, {"dry_run", given.dry_run}};
  if (given.to) arguments["to"] = *given.to;
  if (given.no_bookmark) arguments["no_bookmark"] = true;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json reset, client->Call("reset", arguments));
  return PrintConfirmation(globals, reset, DescribeReset(given, reset));
}

}  // namespace

void AddReset(CommandLine& line) {
  CLI::App* command = line.Add("reset", "Reset a branch to its parent's current state",
                               "velafs reset pr-42\n"
                               "  velafs reset pr-42 --to pr-42@before-migration");
  const auto given = std::make_shared<ResetArguments>();
  command->add_option("BRANCH", given->name, "Branch")->required()->type_name("");
  command->add_option("--to", given->to, "Branch, or bookmark BRANCH@NAME, to reset it to instead")
      ->type_name("SOURCE");
  command->add_flag("--no-bookmark", given->no_bookmark,
                    "Do not keep its previous state as a bookmark");
  command->add_flag("--dry-run", given->dry_run, "Only say what would be lost");
  line.OnRun(command, [given](const Globals& globals) { return RunReset(globals, *given); });
}

}  // namespace velafs::cli
