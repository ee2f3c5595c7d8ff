// `velafs list`, `velafs tree` and `velafs show`: what there is.
#include "velafs/cli/command.h"
#include "velafs/cli/render_text.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

void AddBranches(CommandLine& line, const std::string& name, const std::string& description,
                 const TextRenderer& render) {
  CLI::App* command = line.Add(name, description, "velafs " + name);
  line.OnRun(command, [render](const Globals& globals) -> Status {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json list, client->Call("list", json::object()));
    return PrintResult(globals, list, render);
  });
}

}  // namespace

void AddList(CommandLine& line) {
  AddBranches(line, "list", "List the branches", RenderBranchList);
  AddBranches(line, "tree", "Draw the branches as a tree of clones", RenderBranchTree);

  CLI::App* show = line.Add("show", "Show one branch", "velafs show main");
  const auto name = std::make_shared<std::string>();
  show->add_option("NAME", *name, "Branch")->required()->type_name("");
  line.OnRun(show, [name](const Globals& globals) -> Status {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json branch, client->Call("show", {{"name", *name}}));
    return PrintResult(globals, branch, RenderBranch);
  });
}

}  // namespace velafs::cli
