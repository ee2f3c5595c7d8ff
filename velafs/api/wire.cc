#include "velafs/api/wire.h"

#include <cerrno>

namespace velafs::api {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The errno is only what a FUSE request would answer, and no failure gets from here to one.
Status FailureFromJson(const json& error) {
  const Code code = CodeFromName(Text(error, "code"));
  return {code == Code::kOk ? Code::kFailed : code, EIO, Text(error, "message"),
          Text(error, "hint")};
}

}  // namespace

std::string ToText(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<json> FromText(std::string_view text) {
  // Copies and texts of a value are made by recursion.
  bool is_too_deep = false;
  const auto watch_depth = [&is_too_deep](int depth, json::parse_event_t, json&) {
    is_too_deep = is_too_deep || depth > kMaxDepth;
    return !is_too_deep;
  };
  json value = json::parse(text, watch_depth, /*allow_exceptions=*/false);
  if (is_too_deep) return UsageError("the JSON is nested too deep");
  if (value.is_discarded()) return UsageError("the text is not JSON");
  return value;
}

json FailureToJson(const Status& failure) {
  json error = {{"code", CodeName(failure.code())}, {"message", failure.message()}};
  if (!failure.hint().empty()) error["hint"] = failure.hint();
  return {{"error", std::move(error)}};
}

json OutcomeToJson(const Result<json>& outcome) {
  if (!outcome.ok()) return FailureToJson(outcome.status());
  return {{"result", *outcome}};
}

Result<json> OutcomeFromJson(const json& answer) {
  if (answer.is_object()) {
    if (const auto result = answer.find("result"); result != answer.end()) return *result;
    if (const auto error = answer.find("error"); error != answer.end() && error->is_object()) {
      return FailureFromJson(*error);
    }
  }
  return Failed("the answer has neither result nor error");
}

}  // namespace velafs::api
