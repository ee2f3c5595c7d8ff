// The verbs on policies and approvals.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/govern/policies.h"

namespace velafs::store {

struct StoreContext;

// All that is to be set at one place: of the store, or of the tree or the branch that `name` names.
struct PolicyPlan {
  catalog::SettingScope scope = catalog::SettingScope::kStore;
  std::optional<std::string> name;
  std::map<std::string, std::string> values;
};

struct PolicyChange {
  catalog::SettingScope scope = catalog::SettingScope::kStore;
  std::optional<std::string> name;
  std::string key;
  std::optional<std::string> from;  // empty: it was not set
  std::optional<std::string> to;    // empty: it is unset
};

// Thread-safe. A verb that returns success is durable.
class GovernVerbs {
 public:
  explicit GovernVerbs(StoreContext& context) : context_(context) {}

  // Policies of a branch, or of the store.
  Result<std::vector<PolicyValue>> ShowPolicies(const std::optional<std::string>& name);
  // Sets policies of the store, or of the tree or the branch called `name`. A key without a value
  // is unset.
  Result<std::vector<PolicyValue>> SetPolicies(
      catalog::SettingScope scope, const std::optional<std::string>& name,
      const std::map<std::string, std::optional<std::string>>& values);
  // Makes the policies of each of these places, and of no other, exactly those given; all of it or
  // nothing. Returns the changes.
  Result<std::vector<PolicyChange>> ApplyPolicies(const std::vector<PolicyPlan>& plans,
                                                  bool dry_run);
  // The limits of the policies audit_keep and audit_max_entries.
  AuditLimits AuditPolicy();
  // Approves a branch, with the bookmarks of its own states, or a bookmark: users may then clone
  // it, whoever owns it.
  Status SetApproved(const std::string& source, bool approved);

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
