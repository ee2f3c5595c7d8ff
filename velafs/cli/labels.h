// Labels as the command line spells them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::cli {

// Makes an object of texts KEY=VALUE.
Result<nlohmann::json> LabelsToJson(const std::vector<std::string>& labels);
// A branch's labels on one line; "-" if it has none.
std::string LabelsOf(const nlohmann::json& branch);

}  // namespace velafs::cli
