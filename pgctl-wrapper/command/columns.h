// Columns of text that line up.
#pragma once

#include <string>
#include <vector>

namespace velafs::pgctl {

// Each row as a line, its cells as wide as the widest of their column. ASCII.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows);

}  // namespace velafs::pgctl
