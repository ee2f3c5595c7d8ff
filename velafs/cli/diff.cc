// `velafs diff`: what differs between two branches or bookmarks.
#include <optional>

#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/render_diff.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct DiffArguments {
  std::string a;
  std::string b;
  std::optional<std::string> fail_over;
};

Status CheckLimit(const json& diff, uint64_t limit_bytes) {
  const uint64_t changed = diff["bytes_changed"].get<uint64_t>();
  if (changed <= limit_bytes) return {};
  return Failed("\"" + diff["a"].get<std::string>() + "\" and \"" + diff["b"].get<std::string>() +
                "\" differ in " + FormatSize(changed) + ", over the limit of " +
                FormatSize(limit_bytes));
}

Status RunDiff(const Globals& globals, const DiffArguments& given) {
  std::optional<uint64_t> limit_bytes;
  if (given.fail_over) {
    VELAFS_ASSIGN(limit_bytes, ParseSize(*given.fail_over));
  }
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json diff, client->Call("diff", {{"a", given.a}, {"b", given.b}}));
  const size_t most_files = globals.verbose ? SIZE_MAX : kMostFilesShown;
  VELAFS_TRY(PrintResult(globals, diff, [most_files](const json& result, const Style& style) {
    return RenderDiff(result, most_files, style);
  }));
  return limit_bytes ? CheckLimit(diff, *limit_bytes) : Status();
}

}  // namespace

void AddDiff(CommandLine& line) {
  CLI::App* command =
      line.Add("diff", "Show what differs between two branches or bookmarks",
               "velafs diff main pr-42\n  velafs diff main@before-migration main --fail-over 500M");
  const auto given = std::make_shared<DiffArguments>();
  command->add_option("A", given->a, "Branch, or bookmark BRANCH@NAME")->required()->type_name("");
  command->add_option("B", given->b, "Branch, or bookmark BRANCH@NAME")->required()->type_name("");
  command
      ->add_option("--fail-over", given->fail_over,
                   "Exit with status 1 when more than this differs")
      ->type_name("SIZE");
  line.OnRun(command, [given](const Globals& globals) { return RunDiff(globals, *given); });
}

}  // namespace velafs::cli
