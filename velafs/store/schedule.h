// When scheduled bookmarks are made, how they are called, and which of them go.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/base/units.h"

namespace velafs::store {

// `auto-20261122-100000`, in UTC.
std::string ScheduledName(TimeNs at);

// `24h,7d,30d`: durations, each longer than the one before. Usage otherwise.
Result<std::vector<std::chrono::seconds>> ParseKeep(const std::string& text);

// The scheduled bookmarks of a branch, made at those times, oldest first, that have expired.
// All live for the first duration of `keep`; until the second, one in each span as long as the
// first, the oldest in it, and so on; none beyond the last. The newest always stays. If they are
// deleted in that order, the result does not depend on how often this is called.
std::vector<size_t> ThinOut(std::span<const TimeNs> made_at,
                            std::span<const std::chrono::seconds> keep, TimeNs now);

}  // namespace velafs::store
