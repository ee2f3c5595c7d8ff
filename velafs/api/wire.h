// JSON as text, and failures as JSON: on the socket, between daemon and parent, and under `--json`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "velafs/base/status.h"

namespace velafs::api {

// On one line, without a line feed. Bytes that are not UTF-8 become U+FFFD.
std::string ToText(const nlohmann::json& value);
// Fails with kUsage on anything but one JSON document, nested at most 64 deep.
Result<nlohmann::json> FromText(std::string_view text);

// {"error":{"code":...,"message":...,"hint":...}}; no "hint" if there is none.
nlohmann::json FailureToJson(const Status& failure);
// {"result":...} or what FailureToJson gives.
nlohmann::json OutcomeToJson(Result<nlohmann::json> outcome);
// The inverse. `answer` comes from another process: an answer in neither form is kFailed.
Result<nlohmann::json> OutcomeFromJson(nlohmann::json answer);

}  // namespace velafs::api
