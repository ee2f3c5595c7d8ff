#include "velafs/api/audited.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "velafs/api/wire.h"

namespace velafs::api {
namespace {

using nlohmann::json;

// Longer text of a caller is cut: a refused call must not fill the disk.
constexpr size_t kMaxTextBytes = 256;

// On one line, and no longer than that.
std::string Short(std::string text) {
  if (text.size() > kMaxTextBytes) text.resize(kMaxTextBytes);
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
  return text;
}

// The value of that name as text; empty when there is none.
std::string TextOf(const json& object, std::string_view name) {
  if (name.empty() || !object.is_object()) return "";
  const auto found = object.find(std::string(name));
  if (found == object.end() || found->is_null() || found->empty()) return "";
  return Short(found->is_string() ? found->get<std::string>() : ToText(*found));
}

// The keys of the object of that name, with commas between.
std::string KeysOf(const json& object, std::string_view name) {
  if (name.empty() || !object.is_object()) return "";
  const auto found = object.find(std::string(name));
  if (found == object.end() || !found->is_object()) return "";
  std::string keys;
  for (const auto& item : found->items()) keys += (keys.empty() ? "" : ",") + item.key();
  return Short(keys);
}

// The names that a verb without name arguments has changed.
void AddNames(std::string* lines, const json& result) {
  for (const char* kind : {"branches", "bookmarks", "deleted", "refused"}) {
    const auto list = result.find(kind);
    if (list == result.end() || !list->is_array()) continue;
    for (const json& one : *list) {
      store::AddAuditSubject(lines, one.is_string() ? one.get<std::string>() : TextOf(one, "name"));
    }
  }
}

// Whether a verb on many branches was refused each of them.
bool IsAllRefused(const json& result) {
  const auto refused = result.find("refused");
  const auto deleted = result.find("deleted");
  return refused != result.end() && deleted != result.end() && !refused->empty() &&
         deleted->empty();
}

}  // namespace

AuditedCall::AuditedCall(const store::Caller& caller, std::string_view verb, const Logged& logged,
                         const json& arguments)
    : caller_(caller), verb_(verb), logged_(logged), arguments_(arguments) {}

Result<json> AuditedCall::Conclude(store::AuditLog& log, Result<json> outcome) const {
  Status appended = Append(log, outcome);
  if (appended.ok()) return outcome;
  // Room is made by deleting: a full disk must not call that a failure.
  if (os::IsOutOfSpace(appended) || !outcome.ok()) {
    spdlog::error("verb \"{}\" of user \"{}\" is not in the audit log: {}", verb_, caller_.user,
                  appended.message());
    return outcome;
  }
  return std::move(appended).WithContext("verb \"" + std::string(verb_) +
                                         "\" is done, but is not in the audit log");
}

Status AuditedCall::Append(store::AuditLog& log, const Result<json>& outcome) const {
  catalog::AuditRow entry;
  entry.at = began_at_;
  entry.uid = caller_.uid;
  entry.pid = caller_.pid;
  entry.user = caller_.user;
  entry.verb = verb_;
  entry.duration_us = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                std::chrono::steady_clock::now() - began_)
                                                .count());
  for (const std::string_view name : logged_.subjects) {
    store::AddAuditSubject(&entry.subjects, TextOf(arguments_, name));
  }
  entry.source = TextOf(arguments_, logged_.source);
  json detail = json::object();
  for (const std::string_view name : logged_.detail) {
    const std::string text = TextOf(arguments_, name);
    if (!text.empty()) detail[std::string(name)] = text;
  }
  if (const std::string keys = KeysOf(arguments_, logged_.keys_of); !keys.empty()) {
    detail[std::string(logged_.keys_of)] = keys;
  }
  if (outcome.ok()) {
    const std::string told = TextOf(*outcome, logged_.outcome);
    if (!told.empty()) detail[std::string(logged_.outcome)] = told;
    if (entry.source.empty()) entry.source = TextOf(*outcome, "source");
    if (entry.subjects.empty()) AddNames(&entry.subjects, *outcome);
    entry.result = IsAllRefused(*outcome) ? CodeName(Code::kRefused) : store::kAuditDone;
  } else {
    detail["error"] = Short(outcome.status().message());
    entry.result = CodeName(outcome.status().code());
  }
  entry.detail = ToText(detail);
  const bool is_limited = entry.result != store::kAuditDone && !caller_.IsAdmin();
  return is_limited ? log.AppendFailure(std::move(entry)) : log.Append(std::move(entry));
}

}  // namespace velafs::api
