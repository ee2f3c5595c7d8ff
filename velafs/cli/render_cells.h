// What several tables say of branches and bookmarks.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "velafs/cli/table.h"

namespace velafs::cli {

// The string, number or boolean of that name; `missing` for null or nothing.
std::string Text(const nlohmann::json& object, const char* key, const std::string& missing = "-");
std::string Size(const nlohmann::json& object, const char* key);
// How long ago that was.
std::string Age(const nlohmann::json& object, const char* key = "created_at");
// For people, in local time.
std::string LocalTime(const nlohmann::json& object, const char* key,
                      const std::string& missing = "-");
// How long it is until then, rounded: `4h`.
std::string TimeLeft(const nlohmann::json& object, const char* key);
std::string Expiry(const nlohmann::json& object);  // "-" for never
Table::Cell State(const nlohmann::json& branch);

}  // namespace velafs::cli
