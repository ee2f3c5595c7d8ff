// Durations, sizes and times as the command line spells them and JSON prints them.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "velafs/base/status.h"

namespace velafs {

// Nanoseconds since 1970-01-01T00:00:00Z, as in struct timespec.
using TimeNs = int64_t;
TimeNs NowNs();
// Times outside of 1677 to 2262, the range of 64 bits of nanoseconds, become its nearer end.
TimeNs ToTimeNs(const timespec& time);

// `90s 30m 12h 7d`: a positive whole number and one unit. Fails with kUsage.
Result<std::chrono::seconds> ParseDuration(std::string_view text);
// The shortest of `45s 12m 3h 2d` that is not rounded to zero, for columns of human output.
std::string FormatDuration(std::chrono::seconds duration);

// `64K 10G 2T` or `10GiB` (powers of 1024), `10GB` (of 1000), below 8 EiB. Fails with kUsage.
Result<uint64_t> ParseSize(std::string_view text);
// `812 B`, `64.0 KiB`, `1.3 GiB`, for human output.
std::string FormatSize(uint64_t bytes);

// RFC 3339 in UTC, whole seconds: `2026-11-22T10:00:00Z`.
std::string FormatTime(TimeNs time);
// Reads RFC 3339, with any offset (`+02:00`) and fraction; local time `[2026-11-22] 10:00[:00]`,
// also with `today` or `yesterday`; `now`, `2h ago`, `-2h`. Fails with kUsage, also if out of
// range.
Result<TimeNs> ParseTime(std::string_view text);

}  // namespace velafs
