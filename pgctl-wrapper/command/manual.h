// The texts of the manual pages and `velapg help` that --help does not have.
#pragma once

#include "velafs/manual.h"

namespace velafs::pgctl {

extern const Manual kManual;

}  // namespace velafs::pgctl
