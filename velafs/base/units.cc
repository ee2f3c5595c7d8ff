#include "velafs/base/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <limits>
#include <optional>

namespace velafs {
namespace {

constexpr TimeNs kNsPerSecond = 1'000'000'000;
// A second less than there is room for, so that the end of that second can be told, too.
constexpr TimeNs kMaxSeconds = std::numeric_limits<TimeNs>::max() / kNsPerSecond - 1;
constexpr uint64_t kMaxBytes = std::numeric_limits<int64_t>::max();  // what a catalog can hold

// The number at the start of `text`. `rest` gets what follows it.
struct Number {
  uint64_t value = 0;
  bool is_too_large = false;
  std::string_view rest;
};

// Nothing unless there is a number.
std::optional<Number> TakeNumber(std::string_view text) {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (end == text.data()) return std::nullopt;
  number.is_too_large = error == std::errc::result_out_of_range;
  number.rest = text.substr(static_cast<size_t>(end - text.data()));
  return number;
}

Status NotASize(std::string_view text) {
  return UsageError("\"" + std::string(text) + "\" is not a size",
                    "write bytes, or a number and a unit: K M G T (or KiB MiB GiB TiB) are powers "
                    "of 1024, kB MB GB TB powers of 1000");
}

// Bytes in a unit; 0 if it is none.
uint64_t BytesInUnit(std::string_view unit) {
  struct Unit {
    std::string_view names[3];
    uint64_t bytes;
  };
  constexpr std::array kUnits = {
      Unit{{"B", "B", "B"}, 1},
      Unit{{"K", "k", "KiB"}, uint64_t{1} << 10},
      Unit{{"M", "m", "MiB"}, uint64_t{1} << 20},
      Unit{{"G", "g", "GiB"}, uint64_t{1} << 30},
      Unit{{"T", "t", "TiB"}, uint64_t{1} << 40},
      Unit{{"kB", "KB", "kb"}, 1'000},
      Unit{{"MB", "MB", "mb"}, 1'000'000},
      Unit{{"GB", "GB", "gb"}, 1'000'000'000},
      Unit{{"TB", "TB", "tb"}, 1'000'000'000'000},
  };
  for (const Unit& one : kUnits) {
    if (std::ranges::find(one.names, unit) != std::end(one.names)) return one.bytes;
  }
  return 0;
}

Status NotATime(std::string_view text) {
  return UsageError("\"" + std::string(text) + "\" is not a time",
                    "write it as 2026-11-22T10:00:00Z, in local time as '2026-11-22 10:00', "
                    "'yesterday 14:00' or 14:00, or as '2h ago'");
}

// `14:00` or `14:00:30`, into the hour, minute and second; what follows it, or null if there is no
// such time.
const char* TakeClock(const char* text, tm* parts) {
  const char* rest = strptime(text, "%H:%M", parts);
  return rest != nullptr && *rest == ':' ? strptime(rest, ":%S", parts) : rest;
}

// `now`, `2h ago` and `-2h`.
std::optional<TimeNs> BeforeNow(std::string_view text) {
  constexpr std::string_view kAgo = " ago";
  if (text == "now") return NowNs();
  if (text.starts_with("-")) {
    text.remove_prefix(1);
  } else if (text.ends_with(kAgo)) {
    text.remove_suffix(kAgo.size());
  } else {
    return std::nullopt;
  }
  const Result<std::chrono::seconds> duration = ParseDuration(text);
  if (!duration.ok()) return std::nullopt;
  return NowNs() - duration->count() * kNsPerSecond;
}

// `14:00`, `today 14:00`, `yesterday 14:00` and `yesterday`, in local time.
std::optional<TimeNs> OnDay(std::string_view text) {
  const time_t now = time(nullptr);
  tm parts{};
  localtime_r(&now, &parts);
  parts.tm_sec = parts.tm_min = parts.tm_hour = 0;
  parts.tm_isdst = -1;
  bool is_named = true;
  if (text.starts_with("yesterday")) {
    text.remove_prefix(std::string_view("yesterday").size());
    --parts.tm_mday;
  } else if (text.starts_with("today")) {
    text.remove_prefix(std::string_view("today").size());
  } else {
    is_named = false;
  }
  if (is_named && !text.empty()) {
    if (text[0] != ' ') return std::nullopt;
    text.remove_prefix(1);
  }
  if (!is_named || !text.empty()) {
    const std::string clock(text);
    const char* const rest = TakeClock(clock.c_str(), &parts);
    if (rest == nullptr || *rest != '\0') return std::nullopt;
  }
  return TimeNs{mktime(&parts)} * kNsPerSecond;
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
  const std::optional<Number> number = TakeNumber(text);
  for (const Unit& unit : kUnits) {
    if (!number || number->rest != unit.name) continue;
    if (number->is_too_large || number->value > kMaxSeconds / unit.seconds) {
      return UsageError("\"" + std::string(text) + "\" is too long",
                        "a duration is at most 36600d");
    }
    if (number->value > 0) return std::chrono::seconds(number->value * unit.seconds);
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
  const std::optional<Number> number = TakeNumber(text);
  if (!number) return NotASize(text);
  const uint64_t unit = number->rest.empty() ? 1 : BytesInUnit(number->rest);
  if (unit == 0) return NotASize(text);
  if (!number->is_too_large && number->value <= kMaxBytes / unit) return number->value * unit;
  return UsageError("\"" + std::string(text) + "\" is too large", "a size is below 8 EiB");
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
  if (const auto time = BeforeNow(text)) return *time;
  if (const auto time = OnDay(text)) return *time;
  const std::string copy(text);
  const Status wrong = NotATime(text);
  tm parts{};
  parts.tm_isdst = -1;  // local time: find out
  const char* rest = strptime(copy.c_str(), "%Y-%m-%d", &parts);
  if (rest == nullptr || (*rest != 'T' && *rest != ' ')) return wrong;
  rest = TakeClock(rest + 1, &parts);
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
