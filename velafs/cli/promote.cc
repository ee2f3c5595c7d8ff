// `velafs promote`: one branch's state for another.
#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct PromoteArguments {
  std::string name;
  std::string onto;
  bool dry_run = false;
};

Status RunPromote(const Globals& globals, const PromoteArguments& given) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json promoted, client->Call("promote", {{"name", given.name},
                                                              {"onto", given.onto},
                                                              {"dry_run", given.dry_run}}));
  const std::string did = given.dry_run ? "would promote" : "promoted";
  return PrintConfirmation(globals, promoted,
                           did + " \"" + given.name + "\" onto \"" + given.onto +
                               "\"; its previous state " + (given.dry_run ? "would be" : "is") +
                               " kept as \"" + promoted["bookmark"].get<std::string>() + "\"");
}

}  // namespace

void AddPromote(CommandLine& line) {
  CLI::App* command =
      line.Add("promote", "Replace TARGET with BRANCH; TARGET's old state is kept as a bookmark",
               "velafs promote migrated --onto main");
  const auto given = std::make_shared<PromoteArguments>();
  command->add_option("BRANCH", given->name, "Branch to take the state from; it stays as it is")
      ->required()
      ->type_name("");
  command->add_option("--onto", given->onto, "Branch to replace")->required()->type_name("TARGET");
  command->add_flag("--dry-run", given->dry_run, "Only say what would be replaced");
  line.OnRun(command, [given](const Globals& globals) { return RunPromote(globals, *given); });
}

}  // namespace velafs::cli
