// `velafs tablespaces`: where a branch's tablespaces are, and bringing them in.
#include "velafs/cli/command.h"
#include "velafs/cli/table.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct TablespacesArguments {
  std::string name;
  bool bring_in = false;
  std::string drop;
};

std::string Render(const json& result, const Style& style) {
  Table table({Align::kLeft, Align::kLeft, Align::kLeft});
  table.AddRow({{"OID", &Style::Dim}, {"FORM", &Style::Dim}, {"TARGET", &Style::Dim}});
  for (const json& one : result["tablespaces"]) {
    const std::string form = one["form"];
    const std::string target = one["target"].is_null() ? "" : one["target"].get<std::string>();
    table.AddRow({{one["oid"]}, {form, form == "leads out" ? &Style::Red : nullptr}, {target}});
  }
  return table.Render(style);
}

Status RunTablespaces(const Globals& globals, const TablespacesArguments& given) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  std::string verb = "tablespaces";
  json arguments = {{"name", given.name}};
  if (given.bring_in) verb = "tablespaces-bring-in";
  if (!given.drop.empty()) {
    verb = "tablespaces-drop";
    arguments["oid"] = given.drop;
  }
  VELAFS_ASSIGN(const json result, client->Call(verb, arguments));
  return PrintResult(globals, result, Render);
}

}  // namespace

void AddTablespaces(CommandLine& line) {
  CLI::App* command = line.Add(
      "tablespaces",
      "List a branch's tablespaces; repair those that are links, if no server runs on the branch",
      "velafs tablespaces pr-42\n"
      "  velafs tablespaces pr-42 --bring-in\n"
      "  velafs tablespaces pr-42 --drop 16400");
  const auto given = std::make_shared<TablespacesArguments>();
  command->add_option("BRANCH", given->name, "Branch")->required()->type_name("");
  CLI::Option* bring_in = command->add_flag(
      "--bring-in", given->bring_in,
      "Make each one a directory of the branch. The target of a link that leads out is copied as "
      "it is now, with the rights of the data's owner: no server may be writing there");
  command
      ->add_option("--drop", given->drop,
                   "Remove this link, which leads out of the branch and has no target")
      ->type_name("OID")
      ->check(NotEmpty())
      ->excludes(bring_in);
  line.OnRun(command, [given](const Globals& globals) { return RunTablespaces(globals, *given); });
}

}  // namespace velafs::cli
