// `velafs stats`: what the store holds, and what it takes.
#include "velafs/cli/command.h"
#include "velafs/cli/render_text.h"

namespace velafs::cli {

void AddStats(CommandLine& line) {
  CLI::App* command = line.Add("stats", "Show what the store holds and takes", "velafs stats");
  line.OnRun(command, [](const Globals& globals) -> Status {
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const nlohmann::json stats, client->Call("stats", nlohmann::json::object()));
    return PrintResult(globals, stats, RenderStats);
  });
}

}  // namespace velafs::cli
