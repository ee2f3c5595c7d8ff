#include "velafs/base/cpus.h"

#include <charconv>
#include <cmath>

namespace velafs {

Result<uint64_t> ParseCpus(std::string_view text) {
  double cpus = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, cpus, std::chars_format::fixed);
  constexpr double kLeast = 0.01;
  constexpr double kMost = 10'000;
  if (parsed.ec == std::errc() && parsed.ptr == end && cpus >= kLeast && cpus <= kMost) {
    return static_cast<uint64_t>(std::llround(cpus * 100));
  }
  return UsageError("\"" + std::string(text) + "\" is not a number of processors",
                    "write 2 or 0.5, for example: from 0.01 to 10000");
}

std::string FormatCpus(uint64_t cpu_percent) {
  std::string text = std::to_string(cpu_percent / 100);
  if (cpu_percent % 100 == 0) return text;
  const std::string hundredths = std::to_string(cpu_percent % 100);
  text += "." + std::string(hundredths.size() == 1 ? "0" : "") + hundredths;
  return text.ends_with('0') ? text.substr(0, text.size() - 1) : text;
}

}  // namespace velafs
