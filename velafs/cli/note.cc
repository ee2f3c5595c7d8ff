// `velafs note`: a branch's free text.
#include "velafs/cli/command.h"

namespace velafs::cli {

using nlohmann::json;

void AddNote(CommandLine& line) {
  CLI::App* command = line.Add("note", "Set the note of a branch",
                               "velafs note pr-42 \"waits for review\"\n  velafs note pr-42 \"\"");
  struct Given {
    std::string name;
    std::string note;
  };
  const auto given = std::make_shared<Given>();
  command->add_option("NAME", given->name, "Branch")->required()->type_name("");
  command->add_option("TEXT", given->note, "Free text; empty for none")->required()->type_name("");
  line.OnRun(command, [given](const Globals& globals) -> Status {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json branch,
                  client->Call("note", {{"name", given->name}, {"note", given->note}}));
    return PrintConfirmation(globals, branch, "set the note of \"" + given->name + "\"");
  });
}

}  // namespace velafs::cli
