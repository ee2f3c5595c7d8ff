#include "velafs/store/govern/govern_verbs.h"

#include "velafs/store/context.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;
using catalog::SettingScope;

Result<PolicyPlace> FindPlace(StoreContext& context, SettingScope scope,
                              const std::optional<std::string>& name) {
  if (scope == SettingScope::kStore) return PolicyPlace::OfStore();
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(context, name.value_or("")));
  return scope == SettingScope::kSource ? PolicyPlace::OfSource(branch)
                                        : PolicyPlace::OfBranch(branch);
}

}  // namespace

Result<std::vector<PolicyValue>> GovernVerbs::ShowPolicies(const std::optional<std::string>& name) {
  if (!name) return context_.policies->Effective(nullptr);
  VELAFS_ASSIGN(const BranchRow branch, FindBranch(context_, *name));
  return context_.policies->Effective(&branch);
}

Result<std::vector<PolicyValue>> GovernVerbs::SetPolicies(
    SettingScope scope, const std::optional<std::string>& name,
    const std::map<std::string, std::optional<std::string>>& values) {
  {
    WriterLock lock(context_.verbs_mutex);
    VELAFS_ASSIGN(const PolicyPlace where, FindPlace(context_, scope, name));
    VELAFS_TRY(context_.policies->Set({{where, values}}));
  }
  return ShowPolicies(name);
}

Result<std::vector<PolicyChange>> GovernVerbs::ApplyPolicies(const std::vector<PolicyPlan>& plans,
                                                             bool dry_run) {
  WriterLock lock(context_.verbs_mutex);
  std::vector<PolicyChange> changes;
  std::map<PolicyPlace, Policies::Values> wanted;
  for (const PolicyPlan& plan : plans) {
    VELAFS_ASSIGN(const PolicyPlace place, FindPlace(context_, plan.scope, plan.name));
    if (wanted.contains(place)) {
      return UsageError("a place is named twice", "all branches of a tree have the same source");
    }
    Policies::Values& values = wanted[place];
    for (const auto& [key, value] : plan.values) values[key] = value;
    const std::map<std::string, std::string> present = context_.policies->SetAt(place);
    for (const auto& [key, value] : present) values.try_emplace(key, std::nullopt);
    for (const auto& [key, value] : values) {
      const auto found = present.find(key);
      const auto from = found == present.end() ? std::nullopt : std::optional(found->second);
      if (from != value) changes.push_back({plan.scope, plan.name, key, from, value});
    }
  }
  VELAFS_TRY(Policies::Check(wanted));
  if (!dry_run && !changes.empty()) VELAFS_TRY(context_.policies->Set(wanted));
  return changes;
}

AuditLimits GovernVerbs::AuditPolicy() {
  AuditLimits limits;
  limits.keep = context_.policies->Duration("audit_keep", nullptr);
  const std::string most = context_.policies->Get("audit_max_entries", nullptr);
  if (!most.empty()) limits.max_entries = std::stoull(most);
  return limits;
}

Status GovernVerbs::SetApproved(const std::string& source, bool approved) {
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  WriterLock lock(context_.verbs_mutex);
  VELAFS_ASSIGN(const Origin origin, FindOrigin(context_, ref));
  return context_.policies->SetApproved(origin.bookmark ? PolicyPlace::OfBookmark(*origin.bookmark)
                                                        : PolicyPlace::OfBranch(origin.branch),
                                        approved);
}

}  // namespace velafs::store
