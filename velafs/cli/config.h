// `velafs config`.
#pragma once

#include "velafs/cli/command.h"

namespace velafs::cli {

void AddConfig(CommandLine& line);

}  // namespace velafs::cli
