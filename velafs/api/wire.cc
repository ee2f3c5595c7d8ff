#include "velafs/api/wire.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace velafs::api {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

// How deep arrays and objects are nested in the text, if it is JSON.
int DepthOf(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;  // what follows is no end of it
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

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
  if (DepthOf(text) > kMaxDepth) return UsageError("the JSON is nested too deep");
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return UsageError("the text is not JSON");
  return value;
}

json FailureToJson(const Status& failure) {
  json error = {{"code", CodeName(failure.code())}, {"message", failure.message()}};
  if (!failure.hint().empty()) error["hint"] = failure.hint();
  return {{"error", std::move(error)}};
}

json OutcomeToJson(Result<json> outcome) {
  if (!outcome.ok()) return FailureToJson(outcome.status());
  json document = json::object();
  document["result"] = *std::move(outcome);  // may be large
  return document;
}

Result<json> OutcomeFromJson(json answer) {
  if (answer.is_object()) {
    if (const auto result = answer.find("result"); result != answer.end())
      return std::move(*result);
    if (const auto error = answer.find("error"); error != answer.end() && error->is_object()) {
      return FailureFromJson(*error);
    }
  }
  return Failed("the answer has neither result nor error");
}

}  // namespace velafs::api
