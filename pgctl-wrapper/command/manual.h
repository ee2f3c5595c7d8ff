// What the manual pages and `velapg help` say beyond --help.
#pragma once

#include "velafs/manual.h"

namespace velafs::pgctl {

extern const Manual kManual;

}  // namespace velafs::pgctl
