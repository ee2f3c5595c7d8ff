// The tree of clones as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "velafs/cli/style.h"

namespace velafs::cli {

// Of {"branches":[...],"bookmarks":[...]}: each branch, below it its bookmarks by age, each with
// what was cloned from it, and then what was cloned from the branch's present.
std::string RenderBranchTree(const nlohmann::json& tree, const Style& style);

}  // namespace velafs::cli
