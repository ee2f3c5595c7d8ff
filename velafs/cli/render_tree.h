// The tree of clones as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "velafs/cli/style.h"

namespace velafs::cli {

// Of {"branches":[...],"bookmarks":[...]}: each branch, below it its bookmarks by age, each with
// the clones made from it, and then the clones of the branch itself.
std::string RenderBranchTree(const nlohmann::json& tree, const Style& style);

}  // namespace velafs::cli
