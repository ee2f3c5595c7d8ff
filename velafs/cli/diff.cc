// `velafs diff`: what differs between two branches or bookmarks.
#include <optional>
#include <set>

#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/output.h"
#include "velafs/cli/render_diff.h"
#include "velafs/cli/schema_diff.h"
#include "velafs/cli/table_diff.h"
#include "velafs/cli/wrapper.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct DiffArguments {
  std::string a;
  std::string b;
  std::optional<std::string> fail_over;
  bool tables = false;
  bool schema = false;
  std::string as_user;
  std::string user;
};

Status CheckLimit(const json& diff, uint64_t limit_bytes) {
  const uint64_t changed = diff["bytes_changed"].get<uint64_t>();
  if (changed <= limit_bytes) return {};
  return Failed("\"" + diff["a"].get<std::string>() + "\" and \"" + diff["b"].get<std::string>() +
                "\" differ in " + FormatSize(changed) + ", over the limit of " +
                FormatSize(limit_bytes));
}

// The databases that a server could not open, and that are missing from its answer.
// Their names are added to `databases`.
void AddNotInspected(const std::string& source, const json& inspected, json& list,
                     std::set<std::string>* databases) {
  for (const json& one : inspected.value("not_inspected", json::array())) {
    const std::string database = one.value("database", "");
    const std::string why = one.value("why", "");
    WriteNotice("warning: database \"" + database + "\" of \"" + source +
                "\" was not inspected: " + why);
    databases->insert(database);
    list.push_back({{"source", source}, {"database", database}, {"why", why}});
  }
}

// Adds `tables` and `schema`, as asked for.
Status AskServers(const Globals& globals, const DiffArguments& given, json& diff) {
  std::vector<std::string> words = {"inspect", given.a};
  if (given.tables) words.emplace_back("--relations");
  if (given.schema) words.emplace_back("--schema");
  if (!given.as_user.empty()) words.insert(words.end(), {"--as-user", given.as_user});
  if (!given.user.empty()) words.insert(words.end(), {"--user", given.user});
  VELAFS_ASSIGN(const json a, CallVelapg(globals, words));
  words[1] = given.b;
  VELAFS_ASSIGN(const json b, CallVelapg(globals, words));
  diff["not_inspected"] = json::array();
  std::set<std::string> hidden;  // in one of them: what the other has is no difference
  AddNotInspected(given.a, a, diff["not_inspected"], &hidden);
  AddNotInspected(given.b, b, diff["not_inspected"], &hidden);
  if (given.tables) diff["tables"] = TablesOf(diff, a, b);
  if (given.schema) {
    VELAFS_ASSIGN(const std::string text,
                  SchemaDiff(given.a, WithoutDatabases(a.at("schema"), hidden), given.b,
                             WithoutDatabases(b.at("schema"), hidden)));
    diff["schema"] = {{"equal", text.empty()}, {"diff", text}};
  }
  return {};
}

Status RunDiff(const Globals& globals, const DiffArguments& given) {
  std::optional<uint64_t> limit_bytes;
  if (given.fail_over) {
    VELAFS_ASSIGN(limit_bytes, ParseSize(*given.fail_over));
  }
  VELAFS_ASSIGN(auto client, globals.Connect());
  VELAFS_ASSIGN(json diff, client->Call("diff", {{"a", given.a}, {"b", given.b}}));
  client.reset();  // a store that was opened here could not be mounted
  if (given.tables || given.schema) VELAFS_TRY(AskServers(globals, given, diff));
  const size_t most_files = globals.verbose ? SIZE_MAX : kMostFilesShown;
  VELAFS_TRY(PrintResult(globals, diff, [&](const json& result, const Style& style) {
    const bool files = globals.verbose || (!given.tables && !given.schema);
    std::string text = files ? RenderDiff(result, most_files, style) : RenderDiffSum(result);
    if (given.tables) text += RenderTables(result["tables"], style);
    if (given.schema) text += RenderSchemaDiff(result["schema"], style);
    return text;
  }));
  return limit_bytes ? CheckLimit(diff, *limit_bytes) : Status();
}

}  // namespace

void AddDiff(CommandLine& line) {
  CLI::App* command =
      line.Add("diff", "Show the differences between two branches or bookmarks",
               "velafs diff main pr-42\n  velafs diff main pr-42 --tables --schema\n"
               "  velafs diff main@before-migration main --fail-over 500M");
  const auto given = std::make_shared<DiffArguments>();
  command->add_option("A", given->a, "Branch, or bookmark BRANCH@NAME")->required()->type_name("");
  command->add_option("B", given->b, "Branch, or bookmark BRANCH@NAME")->required()->type_name("");
  command->add_flag("--tables", given->tables,
                    "Name the tables that the pages belong to; asks servers on throw-away clones");
  command->add_flag("--schema", given->schema, "Show how the DDL differs; asks such servers, too");
  command
      ->add_option(
          "--as-user", given->as_user,
          "Show those clones as owned by USER, who runs their servers; see velapg inspect --help")
      ->type_name("USER|none");
  command
      ->add_option("--user", given->user,
                   "Role that asks the servers (default: the superuser that initdb made)")
      ->type_name("ROLE");
  command
      ->add_option("--fail-over", given->fail_over, "Exit with status 1 if more than this differs")
      ->type_name("SIZE");
  line.OnRun(command, [given](const Globals& globals) { return RunDiff(globals, *given); });
}

}  // namespace velafs::cli
