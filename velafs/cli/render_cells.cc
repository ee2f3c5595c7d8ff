#include "velafs/cli/render_cells.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "velafs/base/local_time.h"
#include "velafs/base/units.h"

namespace velafs::cli {

using nlohmann::json;

namespace {

constexpr std::chrono::seconds kMinute(60);
constexpr std::chrono::seconds kHour(3600);
constexpr std::chrono::seconds kDay(86400);

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

std::string LocalTime(const json& object, const char* key, const std::string& missing) {
  const std::string text = Text(object, key, "");
  const Result<TimeNs> time = ParseTime(text);
  if (text.empty()) return missing;
  return time.ok() ? FormatLocalTime(*time) : text;
}

std::string TimeLeft(const json& object, const char* key) {
  const std::chrono::seconds left = Until(Text(object, key));
  const std::chrono::seconds unit(left >= kDay ? kDay : left >= kHour ? kHour : kMinute);
  // Four hours, of which a second has passed, are four hours; 59.9 minutes are one.
  const std::chrono::seconds rounded = (left + unit / 2) / unit * unit;
  return FormatDuration(left < kMinute ? left : rounded);
}

std::string Expiry(const json& branch) {
  const std::string time = Text(branch, "expires_at", "");
  if (time.empty()) return "-";
  return Until(time).count() > 0 ? "in " + TimeLeft(branch, "expires_at") : "expired";
}

Table::Cell State(const json& branch) {
  const std::string state = Text(branch, "state");
  return {state, state == "running" ? &Style::Green : &Style::Dim};
}

}  // namespace velafs::cli
