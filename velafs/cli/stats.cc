// `velafs stats` and `velafs status`: show the store's content, its size, and its daemon.
#include "velafs/cli/command.h"
#include "velafs/cli/render_cells.h"
#include "velafs/cli/render_text.h"
#include "velafs/cli/table.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

std::string RenderStatus(const json& status, const Style& style) {
  Table table({Align::kLeft, Align::kLeft});
  const auto add = [&table](const std::string& title, const std::string& value) {
    table.AddRow({{title, &Style::Dim}, {value}});
  };
  const bool is_served = status.at("pid").is_number();
  add("store", Text(status, "store"));
  add("daemon", is_served
                    ? "process " + Text(status, "pid") + ", version " + Text(status, "version")
                    : "none; `velafs mount` starts it");
  add("mountpoint", Text(status, "mountpoint", "not mounted"));
  add("branches", Text(status, "branches"));
  std::string running;
  for (const json& name : status.at("running")) {
    running += (running.empty() ? "" : " ") + name.get<std::string>();
  }
  add("with a server", running.empty() ? "none" : running);
  return table.Render(style);
}

Status RunStatus(const Globals& globals) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(json status, client->Call("status", json::object()));
  VELAFS_ASSIGN(const json list, client->Call("list", json::object()));
  // Without a daemon it is this process that answers.
  if (!client->is_remote()) status["pid"] = nullptr;
  status["branches"] = list.at("branches").size();
  status["running"] = json::array();
  for (const json& branch : list["branches"]) {
    if (branch.value("state", "") == "running") status["running"].push_back(branch["name"]);
  }
  return PrintResult(globals, status, RenderStatus);
}

}  // namespace

void AddStats(CommandLine& line) {
  CLI::App* stats = line.Add("stats", "Show how much the store holds, and how much space it takes",
                             "velafs stats");
  line.OnRun(stats, [](const Globals& globals) -> Status {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json result, client->Call("stats", json::object()));
    return PrintResult(globals, result, RenderStats);
  });

  CLI::App* status =
      line.Add("status", "Show whether the store is mounted, and which branches have a server",
               "velafs status");
  status->alias("ps");
  line.OnRun(status, RunStatus);
}

}  // namespace velafs::cli
