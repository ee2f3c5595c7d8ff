// The texts of the manual pages and `velafs help` that --help does not have.
#pragma once

#include "velafs/manual.h"

namespace velafs::cli {

class CommandLine;

extern const Manual kManual;

void AddHelp(CommandLine& line);

}  // namespace velafs::cli
