// What differs between two branches, as text for people.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "velafs/cli/style.h"

namespace velafs::cli {

inline constexpr size_t kMostFilesShown = 20;

// A line of sums, then the files that changed most, at most `most_files`, by directory; fits 80
// columns unless a path does not.
std::string RenderDiff(const nlohmann::json& diff, size_t most_files, const Style& style);

}  // namespace velafs::cli
