// The verbs on the audit log.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/api/wire.h"
#include "velafs/store/govern/govern_verbs.h"

namespace velafs::api {
namespace {

using nlohmann::json;

json NamesToJson(const std::string& lines) {
  json names = json::array();
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = std::min(lines.find('\n', begin), lines.size());
    names.push_back(lines.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

json EntryToJson(const catalog::AuditRow& row) {
  constexpr double kUsPerMs = 1000;
  // Shows a field that somebody has changed by hand too.
  const Result<json> detail = FromText(row.detail);
  return {{"id", row.id},
          {"at", FormatTime(row.at)},
          {"uid", row.uid},
          {"user", row.user},
          {"pid", row.pid},
          {"verb", row.verb},
          {"subjects", NamesToJson(row.subjects)},
          {"source", row.source.empty() ? json() : json(row.source)},
          {"detail", detail.ok() ? *detail : json(row.detail)},
          {"result", row.result},
          {"duration_ms", static_cast<double>(row.duration_us) / kUsPerMs},
          {"hash", row.hash.ToHex()}};
}

json HeadOrNull(const catalog::AuditHead& head) {
  return head.count == 0 ? json() : json(store::AuditHeadText(head));
}

// "N:HASH", as `audit-verify` gave it.
Result<catalog::AuditHead> ParseHead(const std::string& text) {
  catalog::AuditHead head;
  const char* end = text.data() + text.size();
  const auto number = std::from_chars(text.data(), end, head.count);
  bool good = number.ec == std::errc() && head.count > 0 && number.ptr != end &&
              *number.ptr == ':' && end - number.ptr == 1 + 2 * 32;
  for (size_t i = 0; good && i < head.hash.bytes.size(); ++i) {
    const char* digits = number.ptr + 1 + 2 * i;
    const auto byte = std::from_chars(digits, digits + 2, head.hash.bytes[i], 16);
    good = byte.ec == std::errc() && byte.ptr == digits + 2;
  }
  if (good) return head;
  return UsageError("\"" + text + "\" is not a number and a hash of an entry",
                    "`velafs audit verify` gives them, as in 42:9f86d0...");
}

// "7d", or a time.
Result<TimeNs> ParseSince(const std::string& text) {
  const Result<std::chrono::seconds> duration = ParseDuration(text);
  if (duration.ok()) return NowNs() - std::chrono::nanoseconds(*duration).count();
  return ParseTime(text);
}

}  // namespace

Answer AuditList(Call& call) {
  store::AuditFilter filter;
  const auto since = call.arguments.Text("since");
  filter.user = call.arguments.Text("user");
  filter.verb = call.arguments.Text("verb");
  filter.branch = call.arguments.Text("branch");
  filter.limit = call.arguments.Count("limit").value_or(0);
  VELAFS_TRY(call.arguments.Finish());
  if (since) {
    VELAFS_ASSIGN(filter.since, ParseSince(*since));
  }
  VELAFS_ASSIGN(const std::vector<catalog::AuditRow> rows, call.store.audit_log().List(filter));
  json entries = json::array();
  for (const catalog::AuditRow& row : rows) entries.push_back(EntryToJson(row));
  return json{{"entries", std::move(entries)}};
}

Answer AuditVerify(Call& call) {
  const std::optional<std::string> text = call.arguments.Text("noted");
  VELAFS_TRY(call.arguments.Finish());
  std::optional<catalog::AuditHead> noted;
  if (text) {
    VELAFS_ASSIGN(noted, ParseHead(*text));
  }
  store::AuditLog& log = call.store.audit_log();
  VELAFS_ASSIGN(const catalog::AuditHead head, log.Verify(noted));
  VELAFS_ASSIGN(const catalog::AuditHead begin, log.Begin());
  VELAFS_ASSIGN(const std::vector<catalog::AuditMark> marks, log.Marks());
  json shipped = json::array();
  for (const catalog::AuditMark& mark : marks) {
    shipped.push_back({{"to", mark.destination}, {"head", store::AuditHeadText(mark.last)}});
  }
  return json{{"entries", head.count - begin.count},
              {"head", store::AuditHeadText(head)},
              {"trimmed", HeadOrNull(begin)},
              {"shipped", std::move(shipped)}};
}

Answer AuditTrim(Call& call) {
  store::AuditLimits limits;
  limits.keep = call.arguments.Duration("keep");
  limits.max_entries = call.arguments.Count("max_entries");
  const bool dry_run = call.arguments.Flag("dry_run");
  VELAFS_TRY(call.arguments.Finish());
  if (!limits.keep && !limits.max_entries) limits = call.store.governance().AuditPolicy();
  if (!limits.keep && !limits.max_entries) {
    return UsageError("no policy limits the audit log",
                      "set one: velafs policy set --of-store audit_keep=365d");
  }
  VELAFS_ASSIGN(const store::AuditTrimmed trimmed,
                call.store.audit_log().Trim(call.caller, limits, NowNs(), dry_run));
  return json{{"entries", trimmed.entries},
              {"trimmed", HeadOrNull(trimmed.last)},
              {"held_by", OrNull(trimmed.held_by)},
              {"dry_run", dry_run}};
}

Answer AuditUnshipped(Call& call) {
  const std::string to = call.arguments.Required("to");
  const std::optional<std::string> has = call.arguments.Text("has");
  VELAFS_TRY(call.arguments.Finish());
  std::optional<catalog::AuditHead> head;
  if (has) {
    VELAFS_ASSIGN(head, ParseHead(*has));
  }
  VELAFS_ASSIGN(const store::AuditUnshipped unshipped, call.store.audit_log().Unshipped(to, head));
  json entries = json::array();
  for (const catalog::AuditRow& row : unshipped.rows) {
    json entry = EntryToJson(row);
    // To the nanosecond, as the hash has it: who gets it can compute that.
    entry["at_ns"] = row.at;
    entry["duration_us"] = row.duration_us;
    entries.push_back(std::move(entry));
  }
  return json{{"entries", std::move(entries)}, {"head", HeadOrNull(unshipped.last)}};
}

Answer AuditShipped(Call& call) {
  const std::string to = call.arguments.Required("to");
  const std::string head = call.arguments.Required("head");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const catalog::AuditHead last, ParseHead(head));
  VELAFS_TRY(call.store.audit_log().MarkShipped(to, last));
  return json{{"to", to}, {"head", head}};
}

Answer AuditForget(Call& call) {
  const std::string to = call.arguments.Required("to");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_TRY(call.store.audit_log().ForgetDestination(to));
  return json{{"to", to}};
}

}  // namespace velafs::api
