// Refusals of verbs by policies and quotas.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/catalog/rows.h"
#include "velafs/store/caller.h"

namespace velafs::store {

struct StoreContext;

// Each is Refused, and names the policy. `of` is the branch whose policies hold: for a clone, its
// source.
Status CheckNamePolicy(StoreContext& context, const std::string& name,
                       const catalog::BranchRow& of);
// Whether the owner may have another branch.
Status CheckBranchPolicies(StoreContext& context, const std::string& owner,
                           const catalog::BranchRow& of);
// `branches` are all of the store: checks whether there may be one more, and whether the owner may
// have it.
Status CheckBranchCounts(StoreContext& context, const std::string& owner,
                         const catalog::BranchRow& of,
                         const std::vector<catalog::BranchRow>& branches);
// Whether CheckBranchCounts can refuse anything.
bool HasBranchLimits(StoreContext& context, const catalog::BranchRow& of);
// Whether that owner may have that branch, which is there, and another's.
Status CheckMayOwn(StoreContext& context, const std::string& owner,
                   const catalog::BranchRow& branch);
Status CheckTtlPolicy(StoreContext& context, const std::optional<std::chrono::seconds>& ttl,
                      const catalog::BranchRow& of);
Status CheckQuotaPolicy(StoreContext& context, const Caller& caller, std::optional<uint64_t> wanted,
                        const catalog::BranchRow& of);

// The lifetime of a clone of `of` that asks for `ttl`, or nothing; refused if it is too long.
Result<std::optional<std::chrono::seconds>> CloneTtl(StoreContext& context,
                                                     const std::optional<std::chrono::seconds>& ttl,
                                                     const catalog::BranchRow& of);
// The quota that the caller may give a branch; by default the one of the policy.
Result<std::optional<uint64_t>> CloneQuota(StoreContext& context, const Caller& caller,
                                           std::optional<uint64_t> wanted,
                                           const catalog::BranchRow& of);

// By owner, the disk space of the owner's branches alone.
Result<std::map<std::string, uint64_t>> UsageOfOwners(
    StoreContext& context, const std::vector<catalog::BranchRow>& branches);

}  // namespace velafs::store
