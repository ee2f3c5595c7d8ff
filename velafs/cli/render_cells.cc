#include "velafs/cli/render_cells.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "velafs/base/units.h"

namespace velafs::cli {

using nlohmann::json;

namespace {

// Seconds from now to an RFC 3339 time in UTC; negative when it has passed.
std::chrono::seconds Until(const std::string& time) {
  tm parts{};
  if (strptime(time.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return {};
  return std::chrono::seconds(timegm(&parts) - std::time(nullptr));
}

}  // namespace

std::string Text(const json& object, const char* key, const std::string& missing) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return missing;
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string Size(const json& object, const char* key) {
  return FormatSize(object.value(key, uint64_t{0}));
}

std::string Age(const json& object, const char* key) {
  return FormatDuration(std::max(-Until(Text(object, key)), std::chrono::seconds(0)));
}

std::string Expiry(const json& branch) {
  const std::string time = Text(branch, "expires_at", "");
  if (time.empty()) return "-";
  const std::chrono::seconds left = Until(time);
  return left.count() > 0 ? "in " + FormatDuration(left) : "expired";
}

Table::Cell State(const json& branch) {
  const std::string state = Text(branch, "state");
  return {state, state == "running" ? &Style::Green : &Style::Dim};
}

}  // namespace velafs::cli
