// Results as the one JSON document of --json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace velafs::cli {

std::string RenderJson(const nlohmann::json& result);

}  // namespace velafs::cli
