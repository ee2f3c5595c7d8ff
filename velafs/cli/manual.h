// What the manual pages and `velafs help` say beyond --help.
#pragma once

#include "velafs/manual.h"

namespace velafs::cli {

class CommandLine;

extern const Manual kManual;

void AddHelp(CommandLine& line);

}  // namespace velafs::cli
