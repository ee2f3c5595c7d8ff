// Numbers of processors, as policies have them: "2" or "0.5".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "velafs/base/status.h"

namespace velafs {

// In hundredths: "2.5" is 250. Usage if it is not a number of processors.
Result<uint64_t> ParseCpus(std::string_view text);
// The inverse.
std::string FormatCpus(uint64_t cpu_percent);

}  // namespace velafs
