// A number and what it counts.
#pragma once

#include <cstdint>
#include <string>

namespace velafs {

// `1 branch`, `3 branches`. The plural adds an s unless it is given.
std::string Counted(uint64_t count, const std::string& noun, const std::string& plural = "");

}  // namespace velafs
