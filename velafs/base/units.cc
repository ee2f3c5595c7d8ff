#include "velafs/base/units.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <limits>

namespace velafs {
namespace {

constexpr TimeNs kNsPerSecond = 1'000'000'000;
// A second less than there is room for, so that the end of that second can be told, too.
constexpr TimeNs kMaxSeconds = std::numeric_limits<TimeNs>::max() / kNsPerSecond - 1;
constexpr uint64_t kMaxBytes = std::numeric_limits<int64_t>::max();  // what a catalog can hold

// The number at the start of `text`; `rest` gets what follows it. False unless there is one.
bool TakeNumber(std::string_view text, uint64_t* number, std::string_view* rest) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  if (error != std::errc() || end == text.data()) return false;
  *rest = text.substr(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

TimeNs NowNs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return ToTimeNs(now);
}

TimeNs ToTimeNs(const timespec& time) {
  TimeNs ns = 0;
  if (__builtin_mul_overflow(TimeNs{time.tv_sec}, kNsPerSecond, &ns) ||
      __builtin_add_overflow(ns, TimeNs{time.tv_nsec}, &ns)) {
    return time.tv_sec < 0 ? std::numeric_limits<TimeNs>::min()
                           : std::numeric_limits<TimeNs>::max();
  }
  return ns;
}

Result<std::chrono::seconds> ParseDuration(std::string_view text) {
  struct Unit {
    std::string_view name;
    uint64_t seconds;
  };
  constexpr std::array kUnits = {Unit{"s", 1}, Unit{"m", 60}, Unit{"h", 3600}, Unit{"d", 86400}};
  constexpr uint64_t kMaxSeconds = uint64_t{100} * 366 * 86400;
  uint64_t number = 0;
  std::string_view rest;
  if (TakeNumber(text, &number, &rest) && number > 0) {
    for (const Unit& unit : kUnits) {
      if (rest == unit.name && number <= kMaxSeconds / unit.seconds) {
        return std::chrono::seconds(number * unit.seconds);
      }
    }
  }
  return UsageError("\"" + std::string(text) + "\" is not a duration",
                    "write a number and a unit, as in 90s 30m 12h 7d");
}

std::string FormatDuration(std::chrono::seconds duration) {
  const auto seconds = duration.count();
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return std::to_string(seconds / 60) + "m";
  if (seconds < 86400) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

Result<uint64_t> ParseSize(std::string_view text) {
  constexpr std::string_view kUnits = "KMGT";
  uint64_t number = 0;
  std::string_view rest;
  if (TakeNumber(text, &number, &rest)) {
    if (rest.empty() && number <= kMaxBytes) return number;
    const size_t unit = rest.size() == 1 ? kUnits.find(rest[0]) : std::string_view::npos;
    if (unit != std::string_view::npos) {
      const uint64_t shift = 10 * (unit + 1);
      if (number <= (kMaxBytes >> shift)) return number << shift;
    }
  }
  return UsageError("\"" + std::string(text) + "\" is not a size",
                    "write bytes, or a number and K, M, G or T, as in 64K 10G");
}

std::string FormatSize(uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double amount = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", amount, kUnits[unit]);
  return text;
}

Result<TimeNs> ParseTime(std::string_view text) {
  const std::string copy(text);
  const Status wrong = UsageError("\"" + copy + "\" is not a time",
                                  "write it as 2026-11-22T10:00:00Z, or in local time as"
                                  " '2026-11-22 10:00'");
  tm parts{};
  parts.tm_isdst = -1;  // local time: find out
  const char* rest = strptime(copy.c_str(), "%Y-%m-%d", &parts);
  if (rest == nullptr || (*rest != 'T' && *rest != ' ')) return wrong;
  rest = strptime(rest + 1, "%H:%M", &parts);
  if (rest != nullptr && *rest == ':') rest = strptime(rest, ":%S", &parts);
  if (rest == nullptr) return wrong;
  if (*rest == '.') {
    do ++rest;
    while (*rest >= '0' && *rest <= '9');
  }
  const std::string_view zone(rest);
  tm offset{};
  TimeNs seconds = 0;
  if (zone.empty()) {
    seconds = mktime(&parts);
  } else if (zone == "Z" || zone == "z") {
    seconds = timegm(&parts);
  } else if (zone.size() == 6 && (zone[0] == '+' || zone[0] == '-') &&
             strptime(rest + 1, "%H:%M", &offset) == rest + zone.size()) {
    const TimeNs east = offset.tm_hour * 3600 + offset.tm_min * 60;
    seconds = timegm(&parts) - (zone[0] == '+' ? east : -east);
  } else {
    return wrong;
  }
  if (seconds > kMaxSeconds || seconds < -kMaxSeconds) return wrong;
  return seconds * kNsPerSecond;
}

std::string FormatTime(TimeNs time) {
  const time_t seconds = static_cast<time_t>(time / 1'000'000'000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace velafs
