// Cells that several tables of branches and bookmarks share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "velafs/cli/table.h"

namespace velafs::cli {

// The string, number or boolean of that name as text; `missing` if it is null or absent.
std::string Text(const nlohmann::json& object, const char* key, const std::string& missing = "-");
std::string Size(const nlohmann::json& object, const char* key);
// The time since then: `3h`.
std::string Age(const nlohmann::json& object, const char* key = "created_at");
// For people, in local time.
std::string LocalTime(const nlohmann::json& object, const char* key,
                      const std::string& missing = "-");
// The time until then, rounded: `4h`.
std::string TimeLeft(const nlohmann::json& object, const char* key);
std::string Expiry(const nlohmann::json& object);  // "-" for never
Table::Cell State(const nlohmann::json& branch);

}  // namespace velafs::cli
