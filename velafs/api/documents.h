// JSON that several verbs answer with; API.md shows its shape.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "velafs/base/units.h"
#include "velafs/store/verb_types.h"

namespace velafs::api {

template <typename T>
nlohmann::json OrNull(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}
nlohmann::json TimeOrNull(const std::optional<TimeNs>& time);

using Fields = std::set<std::string, std::less<>>;
// With those fields alone, if any are named.
nlohmann::json BranchToJson(const store::BranchInfo& branch, const Fields& fields = {});
nlohmann::json BranchesToJson(const std::vector<store::BranchInfo>& branches,
                              const Fields& fields = {});  // an array
nlohmann::json BookmarkToJson(const store::BookmarkInfo& bookmark);

}  // namespace velafs::api
