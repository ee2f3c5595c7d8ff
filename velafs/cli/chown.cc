// `velafs chown`: a branch to another owner.
#include "velafs/cli/command.h"

namespace velafs::cli {

using nlohmann::json;

void AddChown(CommandLine& line) {
  CLI::App* command = line.Add("chown", "Change the owner of a branch", "velafs chown pr-42 alice");
  struct Given {
    std::string name;
    std::string owner;
  };
  const auto given = std::make_shared<Given>();
  command->add_option("NAME", given->name, "Branch")->required()->type_name("");
  command->add_option("USER", given->owner, "Its new owner")->required()->type_name("");
  line.OnRun(command, [given](const Globals& globals) -> Status {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json branch,
                  client->Call("chown", {{"name", given->name}, {"owner", given->owner}}));
    return PrintConfirmation(globals, branch,
                             "\"" + given->name + "\" belongs to \"" + given->owner + "\"");
  });
}

}  // namespace velafs::cli
