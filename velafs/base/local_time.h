// Times as people read them.
#pragma once

#include <string>

#include "velafs/base/units.h"

namespace velafs {

// Local time and its offset from UTC: `2026-11-22 11:00:00 +0100`.
std::string FormatLocalTime(TimeNs time);

}  // namespace velafs
