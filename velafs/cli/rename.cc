// `velafs rename`: another name for a branch.
#include "velafs/cli/command.h"

namespace velafs::cli {

using nlohmann::json;

void AddRename(CommandLine& line) {
  CLI::App* command =
      line.Add("rename", "Give a branch another name", "velafs rename pr-42 main-2");
  struct Given {
    std::string name;
    std::string new_name;
  };
  const auto given = std::make_shared<Given>();
  command->add_option("OLD", given->name, "Branch")->required()->type_name("");
  command->add_option("NEW", given->new_name, "Its new name")->required()->type_name("");
  line.OnRun(command, [given](const Globals& globals) -> Status {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json branch,
                  client->Call("rename", {{"name", given->name}, {"new_name", given->new_name}}));
    return PrintConfirmation(globals, branch,
                             "renamed \"" + given->name + "\" to \"" + given->new_name + "\"");
  });
}

}  // namespace velafs::cli
