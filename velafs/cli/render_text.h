// Results as text for people.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "velafs/cli/style.h"

namespace velafs::cli {

// Each takes a verb's JSON result; API.md gives the shapes.
std::string RenderBranchList(const nlohmann::json& list, const Style& style);
// The fields of a branch that RenderBranchList shows.
inline constexpr std::array kListedFields = {
    "name",       "state",     "parent",        "parent_bookmark", "owner",    "created_at",
    "expires_at", "own_bytes", "logical_bytes", "protected",       "ephemeral"};
std::string RenderBranch(const nlohmann::json& branch, const Style& style);
std::string RenderTrash(const nlohmann::json& list, const Style& style);
std::string RenderBookmarkList(const nlohmann::json& list, const Style& style);
std::string RenderScrub(const nlohmann::json& report, const Style& style);
std::string RenderAudit(const nlohmann::json& log, const Style& style);
std::string RenderPolicyChanges(const nlohmann::json& applied, const Style& style);
std::string RenderPolicies(const nlohmann::json& policies, const Style& style);
std::string RenderStats(const nlohmann::json& stats, const Style& style);

}  // namespace velafs::cli
