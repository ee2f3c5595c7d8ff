// `velafs label`: labels set and removed.
#include "velafs/cli/command.h"
#include "velafs/cli/labels.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct LabelArguments {
  std::string name;
  std::vector<std::string> labels;
};

Status RunLabel(const Globals& globals, const LabelArguments& given) {
  std::vector<std::string> set;
  json remove = json::array();
  for (const std::string& label : given.labels) {
    if (label.size() > 1 && label.ends_with('-') && label.find('=') == std::string::npos) {
      remove.push_back(label.substr(0, label.size() - 1));
    } else {
      set.push_back(label);
    }
  }
  json arguments = {{"name", given.name}, {"remove", std::move(remove)}};
  VELAFS_ASSIGN(arguments["set"], LabelsToJson(set));
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json branch, client->Call("label", arguments));
  return PrintConfirmation(globals, branch,
                           "labels of \"" + given.name + "\": " + LabelsOf(branch));
}

}  // namespace

void AddLabel(CommandLine& line) {
  CLI::App* command = line.Add("label", "Set labels of a branch, or remove them with KEY-",
                               "velafs label pr-42 team=db review-");
  const auto given = std::make_shared<LabelArguments>();
  command->add_option("NAME", given->name, "Branch")->required()->type_name("");
  command->add_option("LABEL", given->labels, "KEY=VALUE to set it, KEY- to remove it")
      ->required()
      ->type_name("");
  line.OnRun(command, [given](const Globals& globals) { return RunLabel(globals, *given); });
}

}  // namespace velafs::cli
