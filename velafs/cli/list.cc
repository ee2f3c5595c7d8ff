// `velafs list`, `velafs tree` and `velafs show`: what there is.
#include <unistd.h>

#include <optional>

#include "velafs/cli/command.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/labels.h"
#include "velafs/cli/output.h"
#include "velafs/cli/render_text.h"
#include "velafs/cli/render_tree.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct ListArguments {
  std::optional<std::string> owner;
  std::vector<std::string> labels;
  std::optional<std::string> state;
  bool trash = false;
  bool watch = false;
};

Status RunList(const Globals& globals, const ListArguments& given) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  if (given.trash) {
    VELAFS_ASSIGN(const json trash, client->Call("trash-list", json::object()));
    return PrintResult(globals, trash, RenderTrash);
  }
  json arguments = json::object();
  if (given.owner) arguments["owner"] = *given.owner;
  if (given.state) arguments["state"] = *given.state;
  VELAFS_ASSIGN(arguments["labels"], LabelsToJson(given.labels));
  if (globals.json) {
    VELAFS_ASSIGN(const std::string text, client->CallForText("list", arguments));
    return WriteOut(text + "\n");
  }
  arguments["fields"] = kListedFields;
  Result<json> list = client->Call("list", arguments);
  if (list.status().code() == Code::kUsage) {  // of an older daemon, which is still mounted
    arguments.erase("fields");
    list = client->Call("list", arguments);
  }
  VELAFS_TRY(list.status());
  return PrintResult(globals, *list, RenderBranchList);
}

CLI::Option* AddWatch(CLI::App* command, bool& watch) {
  return command->add_flag("-w,--watch", watch, "Refresh every two seconds, until Ctrl-C");
}

// Runs it once, or until interrupted.
Status Show(const Globals& globals, bool watch, const std::function<Status()>& run) {
  if (!watch) return run();
  if (globals.json) {
    return UsageError("--json and --watch do not go together", "--json is one document");
  }
  CatchInterrupts();
  while (!Interrupted()) {
    if (isatty(STDOUT_FILENO) == 1) VELAFS_TRY(WriteOut("\x1b[H\x1b[2J"));
    VELAFS_TRY(run());
    if (!Interrupted()) sleep(2);
  }
  return {};
}

Status RunTree(const Globals& globals) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(json tree, client->Call("list", json::object()));
  VELAFS_ASSIGN(const json bookmarks, client->Call("bookmark-list", json::object()));
  tree["bookmarks"] = bookmarks["bookmarks"];
  return PrintResult(globals, tree, RenderBranchTree);
}

}  // namespace

void AddList(CommandLine& line) {
  CLI::App* list = line.Add("list", "List the branches",
                            "velafs list\n  velafs list --owner alice --label team=db\n"
                            "  velafs list --trash");
  list->alias("ls");
  const auto given = std::make_shared<ListArguments>();
  auto* owner = list->add_option("--owner", given->owner, "Only those of this owner");
  auto* label =
      list->add_option("--label", given->labels, "Only those with it; may be given again");
  auto* state = list->add_option("--state", given->state, "Only those that are ready, or running");
  owner->type_name("USER");
  label->type_name("KEY=VALUE")->allow_extra_args(false);
  state->type_name("STATE");
  AddWatch(list, given->watch);
  list->add_flag("--trash", given->trash, "Deleted ones that can be brought back")
      ->excludes(owner)
      ->excludes(label)
      ->excludes(state);
  line.OnRun(list, [given](const Globals& globals) {
    return Show(globals, given->watch, [&] { return RunList(globals, *given); });
  });

  CLI::App* tree = line.Add("tree", "Draw the branches and bookmarks as a tree of clones",
                            "velafs tree\n  velafs tree --watch");
  const auto watch = std::make_shared<bool>(false);
  AddWatch(tree, *watch);
  line.OnRun(tree, [watch](const Globals& globals) {
    return Show(globals, *watch, [&] { return RunTree(globals); });
  });

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
