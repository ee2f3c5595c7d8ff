// The verbs that set policies and approvals, and what those have against other verbs.
#include <algorithm>
#include <regex>

#include "velafs/base/counted.h"
#include "velafs/store/govern/access.h"
#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {

using catalog::BranchRow;

namespace {

// Whether as many of the branches as the policy allows are meant; it counts where it is set: in the
// tree of `of`, or in the store.
template <typename IsMeant>
bool IsFull(const PolicyValue& policy, const BranchRow& of, const std::vector<BranchRow>& branches,
            const IsMeant& is_meant) {
  if (policy.value.empty()) return false;
  const auto count = std::ranges::count_if(branches, [&](const BranchRow& branch) {
    return (policy.from == "store" || branch.root == of.root) && is_meant(branch);
  });
  return static_cast<uint64_t>(count) >= std::stoull(policy.value);
}

}  // namespace

Result<std::vector<BranchRow>> Store::Branches() {
  return catalog_->Read(&catalog::Reader::Branches);
}

Result<std::vector<BranchRow>> Store::AllBranches() {
  return catalog_->Read([](catalog::Reader& reader) -> Result<std::vector<BranchRow>> {
    VELAFS_ASSIGN(std::vector<BranchRow> rows, reader.Branches());
    VELAFS_ASSIGN(const std::vector<BranchRow> deleted, reader.DeletedBranches());
    rows.insert(rows.end(), deleted.begin(), deleted.end());
    return rows;
  });
}

Result<std::vector<PolicyValue>> Store::ShowPolicies(const std::optional<std::string>& name) {
  if (!name) return policies_->Effective(nullptr);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(*name));
  return policies_->Effective(&branch);
}

Result<std::vector<PolicyValue>> Store::SetPolicies(
    const std::string& place, const std::optional<std::string>& name,
    const std::map<std::string, std::optional<std::string>>& values) {
  {
    WriterLock lock(verbs_mutex_);
    VELAFS_ASSIGN(const PolicyPlace where, FindPlace(place, name));
    VELAFS_TRY(policies_->Set({{where, values}}));
  }
  return ShowPolicies(name);
}

AuditLimits Store::AuditPolicy() const {
  AuditLimits limits;
  limits.keep = policies_->Duration("audit_keep", nullptr);
  const std::string most = policies_->Get("audit_max_entries", nullptr);
  if (!most.empty()) limits.max_entries = std::stoull(most);
  return limits;
}

Result<PolicyPlace> Store::FindPlace(const std::string& place,
                                     const std::optional<std::string>& name) {
  if (place == "store") return PolicyPlace::OfStore();
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(name.value_or("")));
  return place == "source" ? PolicyPlace::OfSource(branch) : PolicyPlace::OfBranch(branch);
}

Result<std::vector<PolicyChange>> Store::ApplyPolicies(const std::vector<PolicyPlan>& plans,
                                                       bool dry_run) {
  WriterLock lock(verbs_mutex_);
  std::vector<PolicyChange> changes;
  std::map<PolicyPlace, Policies::Values> wanted;
  for (const PolicyPlan& plan : plans) {
    VELAFS_ASSIGN(const PolicyPlace place, FindPlace(plan.place, plan.name));
    if (wanted.contains(place)) {
      return UsageError("a place is named twice", "all branches of a tree have the same source");
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
  WriterLock lock(verbs_mutex_);
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
  return Refused("policy name_pattern requires names matching " + Quoted(pattern),
                 "`velafs policy show " + of.name + "` shows the policies");
}

bool Store::HasBranchLimits(const BranchRow& of) const {
  return !policies_->Get("max_branches", &of).empty() ||
         !policies_->Get("max_branches_per_owner", &of).empty();
}

Status Store::CheckBranchPolicies(const std::string& owner, const BranchRow& of) {
  if (HasBranchLimits(of)) {
    VELAFS_ASSIGN(const std::vector<BranchRow> branches, Branches());
    VELAFS_TRY(CheckBranchCounts(owner, of, branches));
  }
  return CheckOwnerQuota(owner, of, 0);
}

Status Store::CheckBranchCounts(const std::string& owner, const BranchRow& of,
                                const std::vector<BranchRow>& branches) const {
  const PolicyValue most = policies_->Nearest("max_branches", &of);
  if (IsFull(most, of, branches, [](const BranchRow&) { return true; })) {
    return Refused(
        "policy max_branches allows " + Counted(std::stoull(most.value), "branch", "branches"),
        "delete one first: velafs list");
  }
  return CheckOwnerCount(owner, of, branches);
}

Status Store::CheckMayOwn(const std::string& owner, const BranchRow& branch) {
  VELAFS_ASSIGN(const std::vector<BranchRow> branches, Branches());
  VELAFS_TRY(CheckOwnerCount(owner, branch, branches));
  VELAFS_ASSIGN(const auto used, UsageOfOwners({branch}));
  return CheckOwnerQuota(owner, branch, used.at(branch.owner));
}

Status Store::CheckOwnerCount(const std::string& owner, const BranchRow& of,
                              const std::vector<BranchRow>& branches) const {
  const PolicyValue most = policies_->Nearest("max_branches_per_owner", &of);
  if (IsFull(most, of, branches,
             [&owner](const BranchRow& branch) { return branch.owner == owner; })) {
    return Refused(Quoted(owner) + " owns " +
                       Counted(std::stoull(most.value), "branch", "branches") +
                       ", as many as policy max_branches_per_owner allows",
                   "delete one first: velafs list --owner " + owner);
  }
  return {};
}

Status Store::CheckOwnerQuota(const std::string& owner, const BranchRow& of, uint64_t more_bytes) {
  const auto quota = policies_->Size("quota_per_owner", nullptr);
  if (!quota) return {};
  VELAFS_ASSIGN(const std::vector<BranchRow> all, AllBranches());
  VELAFS_ASSIGN(const auto used, UsageOfOwners(all));
  const auto found = used.find(owner);
  const uint64_t bytes = found == used.end() ? 0 : found->second;
  if (bytes < *quota && more_bytes <= *quota - bytes) return {};
  const std::string allowed =
      policies_->Get("quota_per_owner", nullptr) + " that policy quota_per_owner allows";
  if (bytes >= *quota) {
    return Refused(Quoted(owner) + " has used the " + allowed,
                   "branches in the trash count too: velafs gc --trash empties it");
  }
  return Refused(
      "with " + Quoted(of.name) + ", " + Quoted(owner) + " would have more than the " + allowed,
      "an admin can allow more: velafs policy set --of-store quota_per_owner=SIZE");
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
  return Refused("policy max_ttl allows at most " + policies_->Get("max_ttl", &of),
                 "`velafs policy show " + of.name + "` shows the policies");
}

}  // namespace velafs::store
