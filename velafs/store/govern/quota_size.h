// How small a quota may be.
#pragma once

#include <cstdint>

#include "velafs/base/status.h"

namespace velafs::store {

inline constexpr uint64_t kLeastQuotaBytes = 1024 * 1024;

// Usage for less than that: no server runs on so little, and `10` was meant to be `10G`.
inline Status CheckQuotaSize(uint64_t bytes) {
  if (bytes >= kLeastQuotaBytes) return {};
  return UsageError("a quota of " + std::to_string(bytes) + " bytes is too small",
                    "the least is 1M; give a unit, as in 512M or 10G");
}

}  // namespace velafs::store
