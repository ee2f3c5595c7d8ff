// `velafs help` and the manual pages.
#include "velafs/cli/manual.h"

#include <string>
#include <vector>

#include "velafs/cli/command.h"
#include "velafs/cli/output.h"

namespace velafs::cli {
namespace {

Status PrintHelp(CommandLine& line, const std::vector<std::string>& words, bool json) {
  const CLI::App* command = FindCommand(line.app(), words);
  if (command == nullptr) {
    std::string name = "velafs";
    for (const std::string& word : words) name += " " + word;
    return UsageError("there is no command \"" + name + "\"", "velafs help lists the commands");
  }
  if (json) return UsageError("help is not a JSON document", "leave out --json");
  return WriteOut(HelpWithText(*command, kManual));
}

}  // namespace

void AddHelp(CommandLine& line) {
  CLI::App* help = line.Add("help", "Print a command's help and the text of its manual page",
                            "velafs help clone\n  velafs help bookmark create");
  const auto words = std::make_shared<std::vector<std::string>>();
  help->add_option("COMMAND", *words, "Command (default: velafs itself)")->type_name("");
  line.OnRun(help, [words, &line](const Globals& globals) {
    return PrintHelp(line, *words, globals.json);
  });

  CLI::App* manual = line.Add("manual", "Write the manual pages of velafs to a directory",
                              "velafs manual man velafs/api/API.md");
  manual->group("");  // for the build
  struct Given {
    std::string directory;
    std::string documents;
  };
  const auto given = std::make_shared<Given>();
  manual->add_option("DIR", given->directory, "Directory")->required()->type_name("");
  manual->add_option("API.md", given->documents, "What --json prints")->required()->type_name("");
  line.OnRun(manual, [given, &line](const Globals&) {
    return WriteManualPages(line.app(), kManual, given->directory, given->documents);
  });
}

}  // namespace velafs::cli
