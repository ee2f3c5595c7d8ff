// `velafs bookmark create`, `list` and `delete`: named points in a branch's time.
#include <optional>

#include "velafs/cli/command.h"
#include "velafs/cli/render_text.h"
#include "velafs/cli/wrapper.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct BookmarkArguments {
  std::string name;    // BRANCH@NAME
  std::string branch;  // of the list
  std::string note;
  std::optional<std::string> keep;
  bool checkpoint = false;
};

Status RunCreate(const Globals& globals, const BookmarkArguments& given) {
  json arguments = {{"name", given.name}, {"note", given.note}};
  if (given.keep) arguments["keep"] = *given.keep;
  if (given.checkpoint) {
    VELAFS_TRY(Checkpoint(globals, given.name.substr(0, given.name.find('@'))));
  }
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json bookmark, client->Call("bookmark-create", arguments));
  return PrintConfirmation(globals, bookmark, "created bookmark \"" + given.name + "\"");
}

Status RunList(const Globals& globals, const BookmarkArguments& given) {
  json arguments = json::object();
  if (!given.branch.empty()) arguments["branch"] = given.branch;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json list, client->Call("bookmark-list", arguments));
  return PrintResult(globals, list, RenderBookmarkList);
}

Status RunDelete(const Globals& globals, const BookmarkArguments& given) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json bookmark, client->Call("bookmark-delete", {{"name", given.name}}));
  return PrintConfirmation(globals, bookmark, "deleted bookmark \"" + given.name + "\"");
}

}  // namespace

void AddBookmark(CommandLine& line) {
  CLI::App* bookmark = line.Add("bookmark", "Named, immutable points of a branch",
                                "velafs bookmark create main@before-migration");
  bookmark->require_subcommand(1);
  const auto given = std::make_shared<BookmarkArguments>();

  CLI::App* create = line.Add(
      "create", "Create a bookmark of a branch's current state",
      "velafs bookmark create main@before-migration --note \"release 7\" --keep 30d", bookmark);
  create->add_option("BRANCH@NAME", given->name, "Name of the new bookmark")
      ->required()
      ->type_name("");
  create->add_option("--note", given->note, "Free text")->type_name("TEXT");
  create->add_option("--keep", given->keep, "Delete it after this time, as in 90s 30m 12h 7d")
      ->type_name("D");
  create->add_flag("--checkpoint", given->checkpoint,
                   "Make the branch's server, if one runs, write a checkpoint first: clones of the "
                   "bookmark then start without replay");
  line.OnRun(create, [given](const Globals& globals) { return RunCreate(globals, *given); });

  CLI::App* list =
      line.Add("list", "List bookmarks, oldest first", "velafs bookmark list main", bookmark);
  list->add_option("BRANCH", given->branch, "Branch: only its bookmarks")->type_name("");
  line.OnRun(list, [given](const Globals& globals) { return RunList(globals, *given); });

  CLI::App* remove = line.Add("delete", "Delete a bookmark",
                              "velafs bookmark delete main@before-migration", bookmark);
  remove->add_option("BRANCH@NAME", given->name, "Bookmark")->required()->type_name("");
  line.OnRun(remove, [given](const Globals& globals) { return RunDelete(globals, *given); });
}

}  // namespace velafs::cli
