// Renders the difference of two branches as text.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "velafs/cli/style.h"

namespace velafs::cli {

inline constexpr size_t kMostFilesShown = 20;

// One line.
std::string RenderDiffSum(const nlohmann::json& diff);
// That line, then the files that changed most, at most `most_files`, by directory; fits 80
// columns unless a path does not.
std::string RenderDiff(const nlohmann::json& diff, size_t most_files, const Style& style);

// Prints the rows of TablesOf: a line for each table with its differences, and the other files.
std::string RenderTables(const nlohmann::json& tables, const Style& style);

}  // namespace velafs::cli
