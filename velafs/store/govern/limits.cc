#include "velafs/store/govern/limits.h"

#include <algorithm>
#include <regex>

#include "velafs/base/counted.h"
#include "velafs/layer/volume.h"
#include "velafs/store/context.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/govern/quota_size.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

// Whether as many of the branches as the policy allows are meant; it counts where it is set: in the
// tree of `of`, or in the store.
template <typename IsMeant>
bool IsFull(const PolicyValue& policy, const BranchRow& of, const std::vector<BranchRow>& branches,
            const IsMeant& is_meant) {
  if (policy.value.empty()) return false;
  const auto count = std::ranges::count_if(branches, [&](const BranchRow& branch) {
    return (policy.from == catalog::SettingScope::kStore || branch.root == of.root) &&
           is_meant(branch);
  });
  return static_cast<uint64_t>(count) >= std::stoull(policy.value);
}

Status CheckOwnerCount(StoreContext& context, const std::string& owner, const BranchRow& of,
                       const std::vector<BranchRow>& branches) {
  const PolicyValue most = context.policies->Nearest("max_branches_per_owner", &of);
  if (IsFull(most, of, branches,
             [&owner](const BranchRow& branch) { return branch.owner == owner; })) {
    return Refused(Quoted(owner) + " owns " +
                       Counted(std::stoull(most.value), "branch", "branches") +
                       ", as many as policy max_branches_per_owner allows",
                   "delete one first: velafs list --owner " + owner);
  }
  return {};
}

// Whether the owner may have another branch, which takes `more_bytes`.
Status CheckOwnerQuota(StoreContext& context, const std::string& owner, const BranchRow& of,
                       uint64_t more_bytes) {
  const auto quota = context.policies->Size("quota_per_owner", nullptr);
  if (!quota) return {};
  VELAFS_ASSIGN(const std::vector<BranchRow> all, AllBranches(context));
  VELAFS_ASSIGN(const auto used, UsageOfOwners(context, all));
  const auto found = used.find(owner);
  const uint64_t bytes = found == used.end() ? 0 : found->second;
  if (bytes < *quota && more_bytes <= *quota - bytes) return {};
  const std::string allowed =
      context.policies->Get("quota_per_owner", nullptr) + " that policy quota_per_owner allows";
  if (bytes >= *quota) {
    return Refused(Quoted(owner) + " has used the " + allowed,
                   "branches in the trash count too: velafs gc --trash empties it");
  }
  return Refused(
      "with " + Quoted(of.name) + ", " + Quoted(owner) + " would have more than the " + allowed,
      "an admin can allow more: velafs policy set --of-store quota_per_owner=SIZE");
}

}  // namespace

Status CheckNamePolicy(StoreContext& context, const std::string& name, const BranchRow& of) {
  const std::string pattern = context.policies->Get("name_pattern", &of);
  if (pattern.empty() || std::regex_match(name, std::regex(pattern))) return {};
  return Refused("policy name_pattern requires names matching " + Quoted(pattern),
                 "`velafs policy show " + of.name + "` shows the policies");
}

bool HasBranchLimits(StoreContext& context, const BranchRow& of) {
  return !context.policies->Get("max_branches", &of).empty() ||
         !context.policies->Get("max_branches_per_owner", &of).empty();
}

Status CheckBranchPolicies(StoreContext& context, const std::string& owner, const BranchRow& of) {
  if (HasBranchLimits(context, of)) {
    VELAFS_ASSIGN(const std::vector<BranchRow> branches, Branches(context));
    VELAFS_TRY(CheckBranchCounts(context, owner, of, branches));
  }
  return CheckOwnerQuota(context, owner, of, 0);
}

Status CheckBranchCounts(StoreContext& context, const std::string& owner, const BranchRow& of,
                         const std::vector<BranchRow>& branches) {
  const PolicyValue most = context.policies->Nearest("max_branches", &of);
  if (IsFull(most, of, branches, [](const BranchRow&) { return true; })) {
    return Refused(
        "policy max_branches allows " + Counted(std::stoull(most.value), "branch", "branches"),
        "delete one first: velafs list");
  }
  return CheckOwnerCount(context, owner, of, branches);
}

Status CheckMayOwn(StoreContext& context, const std::string& owner, const BranchRow& branch) {
  VELAFS_ASSIGN(const std::vector<BranchRow> branches, Branches(context));
  VELAFS_TRY(CheckOwnerCount(context, owner, branch, branches));
  VELAFS_ASSIGN(const auto used, UsageOfOwners(context, {branch}));
  return CheckOwnerQuota(context, owner, branch, used.at(branch.owner));
}

Status CheckTtlPolicy(StoreContext& context, const std::optional<std::chrono::seconds>& ttl,
                      const BranchRow& of) {
  const auto most = context.policies->Duration("max_ttl", &of);
  if (!most || (ttl && *ttl <= *most)) return {};
  return Refused("policy max_ttl allows at most " + context.policies->Get("max_ttl", &of),
                 "`velafs policy show " + of.name + "` shows the policies");
}

Status CheckQuotaPolicy(StoreContext& context, const Caller& caller, std::optional<uint64_t> wanted,
                        const BranchRow& of) {
  const std::optional<uint64_t> most = context.policies->Size("quota", &of);
  if (caller.IsAdmin() || !most || (wanted && *wanted <= *most)) return {};
  return Refused("policy quota allows at most " + context.policies->Get("quota", &of),
                 "an admin can give more");
}

Result<std::optional<std::chrono::seconds>> CloneTtl(StoreContext& context,
                                                     const std::optional<std::chrono::seconds>& ttl,
                                                     const BranchRow& of) {
  if (ttl) {
    VELAFS_TRY(CheckTtlPolicy(context, ttl, of));
    return ttl;
  }
  const auto by_default = context.policies->Duration("ttl", &of);
  const auto most = context.policies->Duration("max_ttl", &of);
  if (!most || (by_default && *by_default < *most)) return by_default;
  return most;
}

Result<std::optional<uint64_t>> CloneQuota(StoreContext& context, const Caller& caller,
                                           std::optional<uint64_t> wanted, const BranchRow& of) {
  if (!wanted) return context.policies->Size("quota", &of);
  VELAFS_TRY(CheckQuotaSize(*wanted));
  VELAFS_TRY(CheckQuotaPolicy(context, caller, wanted, of));
  return wanted;
}

Result<std::map<std::string, uint64_t>> UsageOfOwners(StoreContext& context,
                                                      const std::vector<BranchRow>& branches) {
  std::vector<layer::UsageOf> tops;
  tops.reserve(branches.size());
  for (const BranchRow& branch : branches) tops.push_back({branch.head, branch.instance});
  VELAFS_ASSIGN(const std::vector<layer::SpaceUsage> usages, context.volume->UsageOfAll(tops));
  std::map<std::string, uint64_t> used;
  for (size_t i = 0; i < branches.size(); ++i) used[branches[i].owner] += usages[i].own_bytes;
  return used;
}

}  // namespace velafs::store
