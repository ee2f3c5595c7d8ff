// Labels as the command line spells them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::cli {

// Of texts KEY=VALUE, an object.
Result<nlohmann::json> LabelsToJson(const std::vector<std::string>& labels);
// Those of a branch, on one line; "-" for none.
std::string LabelsOf(const nlohmann::json& branch);

}  // namespace velafs::cli
