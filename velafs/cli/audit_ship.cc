// `velafs audit ship` and `velafs audit trim`: new entries are sent elsewhere, old ones go.
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/counted.h"
#include "velafs/cli/audit_sink.h"
#include "velafs/cli/command.h"
#include "velafs/cli/output.h"
#include "velafs/cli/render_json.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct ShipArguments {
  std::string to;
  std::optional<std::string> as_user;
  bool forget = false;
};

struct TrimArguments {
  std::optional<std::string> keep;
  std::optional<uint64_t> max_entries;
  bool dry_run = false;
};

// The last entry that a file has, as "N:HASH"; null of an empty one. Lines behind it are what
// interrupted calls have left of others. A file without any was not written by us.
Result<json> LastEntry(const AuditSink& sink) {
  bool is_ours = true;
  for (const std::string& line : sink.LastLines()) {
    is_ours = is_ours && line.starts_with('{');
    const json entry = json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool is_entry = entry.is_object() && entry.contains("id") && entry.contains("hash") &&
                          entry["id"].is_number_unsigned() && entry["hash"].is_string();
    if (!is_entry) continue;
    return json(std::to_string(entry["id"].get<uint64_t>()) + ":" +
                entry["hash"].get<std::string>());
  }
  if (is_ours) return json();
  return Refused("cannot ship to \"" + sink.name() + "\": it has lines, but no entry of a log",
                 "name a file of its own");
}

// At least once: what was sent is noted after it was sent.
Result<uint64_t> ShipAll(Client& client, AuditSink& sink) {
  VELAFS_ASSIGN(json has, LastEntry(sink));
  uint64_t count = 0;
  while (true) {
    VELAFS_ASSIGN(const json unshipped,
                  client.Call("audit-unshipped", {{"to", sink.name()}, {"has", has}}));
    std::string lines;
    for (const json& entry : unshipped["entries"]) lines += RenderJson(entry);
    if (!lines.empty()) VELAFS_TRY(sink.Send(lines));
    has = unshipped["head"];
    // Standard output is not a place that keeps entries: nothing waits until it has them.
    if (!has.is_null() && sink.name() != "-") {
      VELAFS_TRY(client.Call("audit-shipped", {{"to", sink.name()}, {"head", has}}).status());
    }
    if (lines.empty()) return count;
    count += unshipped["entries"].size();
  }
}

Status RunShip(const Globals& globals, const ShipArguments& given) {
  if (given.forget) {
    const std::string name = AuditSinkName(given.to);
    VELAFS_ASSIGN(const auto client, globals.Connect());
    VELAFS_ASSIGN(const json gone, client->Call("audit-forget", {{"to", name}}));
    return PrintConfirmation(globals, gone, "nothing more is kept for \"" + name + "\"");
  }
  if (given.to == "-" && globals.json) {
    return UsageError("--json prints one document, and --to - prints one entry a line",
                      "leave out --json: each line is a JSON object");
  }
  // As the caller, before anything is asked of the store.
  VELAFS_ASSIGN(const auto sink, OpenAuditSink(given.to, given.as_user));
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const uint64_t count, ShipAll(*client, *sink));
  if (given.to == "-") return {};  // there are only entries
  return PrintConfirmation(
      globals, json{{"to", sink->name()}, {"entries", count}},
      "shipped to \"" + sink->name() + "\": " + Counted(count, "entry", "entries"));
}

Status RunTrim(const Globals& globals, const TrimArguments& given) {
  json arguments = {{"dry_run", given.dry_run}};
  if (given.keep) arguments["keep"] = *given.keep;
  if (given.max_entries) arguments["max_entries"] = *given.max_entries;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json trimmed, client->Call("audit-trim", arguments));
  if (trimmed["held_by"].is_string()) {
    WriteNotice("older entries are kept: \"" + trimmed["held_by"].get<std::string>() +
                "\" has not received them yet");
  }
  std::string text = (given.dry_run ? "would trim " : "trimmed ") +
                     Counted(trimmed["entries"].get<uint64_t>(), "entry", "entries") +
                     " of the audit log";
  if (trimmed["trimmed"].is_string()) {
    text += "; it begins after " + trimmed["trimmed"].get<std::string>();
  }
  return PrintConfirmation(globals, trimmed, text);
}

}  // namespace

void AddAuditEnds(CommandLine& line, CLI::App* audit) {
  CLI::App* ship = line.Add("ship", "Send entries that were not sent yet to another place",
                            "velafs audit ship --to syslog\n"
                            "  velafs audit ship --to /srv/audit/velafs.jsonl --as auditor",
                            audit);
  const auto shipped = std::make_shared<ShipArguments>();
  ship->add_option("--to", shipped->to,
                   "\"syslog\", \"-\" for standard output, or a file to append to: JSON, one entry "
                   "a line")
      ->required()
      ->check(NotEmpty())
      ->type_name("DEST");
  ship->add_option("--as", shipped->as_user, "Open the file with the rights of this user")
      ->type_name("USER");
  ship->add_flag("--forget", shipped->forget,
                 "Send nothing, and no longer keep entries for this destination");
  line.OnRun(ship, [shipped](const Globals& globals) { return RunShip(globals, *shipped); });

  CLI::App* trim = line.Add("trim", "Remove the oldest entries, and record that in a new entry",
                            "velafs audit trim --keep 365d\n"
                            "  velafs audit trim --max-entries 100000 --dry-run",
                            audit);
  const auto trimmed = std::make_shared<TrimArguments>();
  trim->add_option("--keep", trimmed->keep, "Keep entries that are not older than this")
      ->type_name("D");
  trim->add_option("--max-entries", trimmed->max_entries, "Keep the last N entries")
      ->type_name("N");
  trim->add_flag("--dry-run", trimmed->dry_run, "Only say what would be removed");
  line.OnRun(trim, [trimmed](const Globals& globals) { return RunTrim(globals, *trimmed); });
}

}  // namespace velafs::cli
