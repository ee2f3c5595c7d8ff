// `velafs audit` and `velafs audit verify`: shows the audit log, and checks that it is complete.
#include <optional>

#include "velafs/base/counted.h"
#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/render_text.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct AuditArguments {
  std::optional<std::string> since;
  std::optional<std::string> user;
  std::optional<std::string> verb;
  std::optional<std::string> branch;
  std::optional<uint64_t> limit;
  std::optional<std::string> noted;
};

Status RunList(const Globals& globals, const AuditArguments& given) {
  json arguments = json::object();
  if (given.since) {
    // A local time is meant in the zone of this process.
    const Result<TimeNs> time = ParseTime(*given.since);
    arguments["since"] = time.ok() ? FormatTime(*time) : *given.since;
  }
  if (given.user) arguments["user"] = *given.user;
  if (given.verb) arguments["verb"] = *given.verb;
  if (given.branch) arguments["branch"] = *given.branch;
  if (given.limit) arguments["limit"] = *given.limit;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json log, client->Call("audit", arguments));
  return PrintResult(globals, log, RenderAudit);
}

Status RunVerify(const Globals& globals, const AuditArguments& given) {
  json arguments = json::object();
  if (given.noted) arguments["noted"] = *given.noted;
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json verified, client->Call("audit-verify", arguments));
  return PrintConfirmation(globals, verified,
                           "the audit log is whole: " +
                               Counted(verified["entries"].get<uint64_t>(), "entry", "entries") +
                               ", the last is " + verified["head"].get<std::string>());
}

}  // namespace

void AddAudit(CommandLine& line) {
  CLI::App* audit = line.Add("audit", "Show who changed what, and what was refused",
                             "velafs audit --since 7d --user alice\n"
                             "  velafs audit --branch pr-42 -n 20\n"
                             "  velafs audit verify\n"
                             "  velafs audit ship --to syslog");
  const auto given = std::make_shared<AuditArguments>();
  audit
      ->add_option("--since", given->since,
                   "Not older than this: 12h, 7d, or a time as '2026-11-22 10:00'")
      ->type_name("D|TIME");
  audit->add_option("--user", given->user, "Only entries of this user")->type_name("USER");
  audit->add_option("--verb", given->verb, "Only this verb, as in clone or bookmark-create")
      ->type_name("VERB");
  audit->add_option("--branch", given->branch, "Only entries about this branch")
      ->type_name("BRANCH");
  audit->add_option("-n,--limit", given->limit, "Only the last N entries")->type_name("N");
  CLI::App* verify =
      line.Add("verify", "Check that no entry was changed or removed",
               "velafs audit verify\n  velafs audit verify --noted 42:9f86d081884c7d65...", audit);
  verify
      ->add_option("--noted", given->noted,
                   "Entry that an earlier verify printed: the log must still contain it")
      ->type_name("N:HASH");
  line.OnRun(verify, [given](const Globals& globals) { return RunVerify(globals, *given); });
  AddAuditEnds(line, audit);
  line.OnRun(audit, [given](const Globals& globals) { return RunList(globals, *given); });
}

}  // namespace velafs::cli
