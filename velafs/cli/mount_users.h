// Finds the processes that keep a mount busy.
#pragma once

#include <string>
#include <vector>

namespace velafs::cli {

// One text for each other process that works in `directory` or below, or has something open there,
// as far as this user may see: `process 42 (psql) in "pr-1"`.
std::vector<std::string> ProcessesUnder(const std::string& directory);

}  // namespace velafs::cli
