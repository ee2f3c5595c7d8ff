// `velafs undelete`: a deleted branch back.
#include "velafs/cli/command.h"

namespace velafs::cli {

using nlohmann::json;

void AddUndelete(CommandLine& line) {
  CLI::App* command = line.Add("undelete", "Bring back the branch deleted last under a name",
                               "velafs undelete pr-42\n  velafs undelete pr-42 --as pr-42-old");
  struct Given {
    std::string name;
    std::optional<std::string> new_name;
  };
  const auto given = std::make_shared<Given>();
  command->add_option("NAME", given->name, "Deleted branch, by its former name")
      ->required()
      ->type_name("");
  command->add_option("--as", given->new_name, "Its new name")->type_name("NEW");
  line.OnRun(command, [given](const Globals& globals) -> Status {
    json arguments = {{"name", given->name}};
    if (given->new_name) arguments["as"] = *given->new_name;
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json branch, client->Call("undelete", arguments));
    return PrintConfirmation(globals, branch,
                             "brought back \"" + given->name + "\"" +
                                 (given->new_name ? " as \"" + *given->new_name + "\"" : ""));
  });
}

}  // namespace velafs::cli
