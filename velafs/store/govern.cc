// The verbs that set policies and approvals, and what those have against other verbs.
#include <algorithm>
#include <regex>

#include "velafs/store/access.h"
#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {

using catalog::BranchRow;

Result<std::vector<PolicyValue>> Store::ShowPolicies(const std::optional<std::string>& name) {
  if (!name) return policies_->Effective(nullptr);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(*name));
  return policies_->Effective(&branch);
}

Result<std::vector<PolicyValue>> Store::SetPolicies(
    const std::string& place, const std::optional<std::string>& name,
    const std::map<std::string, std::optional<std::string>>& values) {
  {
    MutexLock lock(verbs_mutex_);
    VELAFS_ASSIGN(const PolicyPlace where, FindPlace(place, name));
    VELAFS_TRY(policies_->Set({{where, values}}));
  }
  return ShowPolicies(name);
}

Result<PolicyPlace> Store::FindPlace(const std::string& place,
                                     const std::optional<std::string>& name) {
  if (place == "store") return PolicyPlace::OfStore();
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(name.value_or("")));
  return place == "source" ? PolicyPlace::OfSource(branch) : PolicyPlace::OfBranch(branch);
}

Result<std::vector<PolicyChange>> Store::ApplyPolicies(const std::vector<PolicyPlan>& plans,
                                                       bool dry_run) {
  MutexLock lock(verbs_mutex_);
  std::vector<PolicyChange> changes;
  std::map<PolicyPlace, Policies::Values> wanted;
  for (const PolicyPlan& plan : plans) {
    VELAFS_ASSIGN(const PolicyPlace place, FindPlace(plan.place, plan.name));
    if (wanted.contains(place)) {
      return UsageError("one place is named twice", "two branches of a tree have one source");
    }
    Policies::Values& values = wanted[place];
    for (const auto& [key, value] : plan.values) values[key] = value;
    const std::map<std::string, std::string> present = policies_->SetAt(place);
    for (const auto& [key, value] : present) values.try_emplace(key, std::nullopt);
    for (const auto& [key, value] : values) {
      const auto found = present.find(key);
      const auto from = found == present.end() ? std::nullopt : std::optional(found->second);
      if (from != value) changes.push_back({plan.place, plan.name, key, from, value});
    }
  }
  VELAFS_TRY(Policies::Check(wanted));
  if (!dry_run && !changes.empty()) VELAFS_TRY(policies_->Set(wanted));
  return changes;
}

Status Store::SetApproved(const std::string& source, bool approved) {
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  MutexLock lock(verbs_mutex_);
  VELAFS_ASSIGN(const Origin origin, FindOrigin(ref));
  return policies_->SetApproved(origin.bookmark ? PolicyPlace::OfBookmark(*origin.bookmark)
                                                : PolicyPlace::OfBranch(origin.branch),
                                approved);
}

Status Store::CheckMayTake(const Caller& caller, const Origin& origin) const {
  return store::CheckMayTake(*policies_, caller, origin.branch,
                             origin.bookmark ? &*origin.bookmark : nullptr);
}

Status Store::CheckNamePolicy(const std::string& name, const BranchRow& of) const {
  const std::string pattern = policies_->Get("name_pattern", &of);
  if (pattern.empty() || std::regex_match(name, std::regex(pattern))) return {};
  return Refused("the policy wants names that match " + Quoted(pattern),
                 "`velafs policy show " + of.name + "` shows the policies");
}

Status Store::CheckBranchPolicies(const std::string& owner, const BranchRow& of) {
  const PolicyValue of_all = policies_->Nearest("max_branches", &of);
  const PolicyValue of_owner = policies_->Nearest("max_branches_per_owner", &of);
  const auto quota = policies_->Size("quota_per_owner", nullptr);
  if (of_all.value.empty() && of_owner.value.empty() && !quota) return {};
  std::vector<BranchRow> branches;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(branches, reader.Branches());
    return {};
  }));
  // A policy counts where it is set: in the tree, or in the store.
  const auto is_counted = [&of](const PolicyValue& policy, const BranchRow& branch) {
    return policy.from == "store" || branch.root == of.root;
  };
  const auto is_full = [&](const PolicyValue& policy, const auto& is_meant) {
    if (policy.value.empty()) return false;
    const auto count = std::ranges::count_if(branches, [&](const BranchRow& branch) {
      return is_counted(policy, branch) && is_meant(branch);
    });
    return static_cast<uint64_t>(count) >= std::stoull(policy.value);
  };
  if (is_full(of_all, [](const BranchRow&) { return true; })) {
    return Refused("the policy max_branches allows " + of_all.value + " branches",
                   "delete one first: velafs list");
  }
  if (is_full(of_owner, [&owner](const BranchRow& branch) { return branch.owner == owner; })) {
    return Refused(Quoted(owner) + " has the " + of_owner.value +
                       " branches that the policy max_branches_per_owner allows",
                   "delete one first: velafs list --owner " + owner);
  }
  if (!quota) return {};
  VELAFS_ASSIGN(const auto used, UsageOfOwners(branches));
  if (const auto found = used.find(owner); found != used.end() && found->second >= *quota) {
    return Refused(Quoted(owner) + " has used the " + policies_->Get("quota_per_owner", nullptr) +
                       " that the policy quota_per_owner allows",
                   "delete one first: velafs list --owner " + owner);
  }
  return {};
}

Result<std::optional<std::chrono::seconds>> Store::CloneTtl(
    const std::optional<std::chrono::seconds>& ttl, const BranchRow& of) const {
  if (ttl) {
    VELAFS_TRY(CheckTtlPolicy(ttl, of));
    return ttl;
  }
  const auto by_default = policies_->Duration("ttl", &of);
  const auto most = policies_->Duration("max_ttl", &of);
  if (!most || (by_default && *by_default < *most)) return by_default;
  return most;
}

Status Store::CheckTtlPolicy(const std::optional<std::chrono::seconds>& ttl,
                             const BranchRow& of) const {
  const auto most = policies_->Duration("max_ttl", &of);
  if (!most || (ttl && *ttl <= *most)) return {};
  return Refused("the policy max_ttl is " + policies_->Get("max_ttl", &of),
                 "`velafs policy show " + of.name + "` shows the policies");
}

}  // namespace velafs::store
