// `velafs reset`: a branch back to what it was made of.
#include "velafs/base/units.h"
#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct ResetArguments {
  std::string name;
  std::optional<std::string> to;
  bool dry_run = false;
};

Status RunReset(const Globals& globals, const ResetArguments& given) {
  json arguments = {{"name", given.name}, {"dry_run", given.dry_run}};
  if (given.to) arguments["to"] = *given.to;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json reset, client->Call("reset", arguments));
  const std::string did = given.dry_run ? "would reset" : "reset";
  return PrintConfirmation(globals, reset,
                           did + " \"" + given.name + "\" to \"" +
                               reset["source"].get<std::string>() + "\"; " +
                               FormatSize(reset["lost_bytes"].get<uint64_t>()) +
                               " that only it held " + (given.dry_run ? "would go" : "are gone"));
}

}  // namespace

void AddReset(CommandLine& line) {
  CLI::App* command =
      line.Add("reset", "Put a branch back to what it was cloned from, as that is now",
               "velafs reset pr-42\n"
               "  velafs reset pr-42 --to pr-42@before-migration");
  const auto given = std::make_shared<ResetArguments>();
  command->add_option("BRANCH", given->name, "Branch")->required()->type_name("");
  command->add_option("--to", given->to, "Branch, or bookmark BRANCH@NAME, to have the state of")
      ->type_name("SOURCE");
  command->add_flag("--dry-run", given->dry_run, "Only say what would be lost");
  line.OnRun(command, [given](const Globals& globals) { return RunReset(globals, *given); });
}

}  // namespace velafs::cli
