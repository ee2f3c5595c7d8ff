#include "velafs/base/local_time.h"

#include <ctime>

namespace velafs {

std::string FormatLocalTime(TimeNs time) {
  const auto seconds = static_cast<time_t>(time / 1'000'000'000);
  tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &parts);
  return text;
}

}  // namespace velafs
