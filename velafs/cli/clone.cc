// `velafs clone`: a branch from a branch or a bookmark.
#include <optional>

#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct CloneArguments {
  std::string source;
  std::string name;
  std::optional<std::string> ttl;
  std::optional<std::string> owner;
  std::vector<std::string> labels;
  std::optional<std::string> note;
};

Result<json> LabelsToJson(const std::vector<std::string>& labels) {
  json object = json::object();
  for (const std::string& label : labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      return UsageError("label \"" + label + "\" is not KEY=VALUE");
    }
    object[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return object;
}

Status RunClone(const Globals& globals, const CloneArguments& given) {
  json arguments = {{"source", given.source}, {"name", given.name}};
  if (given.ttl) arguments["ttl"] = *given.ttl;
  if (given.owner) arguments["owner"] = *given.owner;
  if (given.note) arguments["note"] = *given.note;
  VELAFS_ASSIGN(arguments["labels"], LabelsToJson(given.labels));
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json branch, client->Call("clone", arguments));
  const bool mounted = branch["path"].is_string();
  return PrintConfirmation(
      globals, branch,
      "cloned \"" + given.source + "\" to \"" + given.name + "\"" +
          (mounted ? " at \"" + branch["path"].get<std::string>() + "\"" : ""));
}

}  // namespace

void AddClone(CommandLine& line) {
  CLI::App* command = line.Add("clone", "Make a branch from a branch or a bookmark",
                               "velafs clone main pr-42 --ttl 2d --label ticket=42\n"
                               "  velafs clone main@before-migration retry");
  const auto given = std::make_shared<CloneArguments>();
  command->add_option("SOURCE", given->source, "Branch, or bookmark BRANCH@NAME")
      ->required()
      ->type_name("");
  command->add_option("NAME", given->name, "Name of the new branch")->required()->type_name("");
  command->add_option("--ttl", given->ttl, "Lifetime, as in 90s 30m 12h 7d")->type_name("D");
  command->add_option("--owner", given->owner, "Owner (default: you)")->type_name("USER");
  command->add_option("--label", given->labels, "Label; may be given again")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--note", given->note, "Free text")->type_name("TEXT");
  line.OnRun(command, [given](const Globals& globals) { return RunClone(globals, *given); });
}

}  // namespace velafs::cli
