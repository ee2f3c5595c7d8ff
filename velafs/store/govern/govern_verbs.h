// The verbs on policies and approvals.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

// Thread-safe. What returns success is durable.
class GovernVerbs {
 public:
  explicit GovernVerbs(StoreContext& context) : context_(context) {}

  // Of a branch, or of the store. "source" stands for the tree of branch `name`.
  Result<std::vector<PolicyValue>> ShowPolicies(const std::optional<std::string>& name);
  // `place` is "store", "source" or "branch"; a key without a value is unset.
  Result<std::vector<PolicyValue>> SetPolicies(
      const std::string& place, const std::optional<std::string>& name,
      const std::map<std::string, std::optional<std::string>>& values);
  // Makes what is set at each of these places, and at no other, just what is said there; all of it
  // or nothing. Returns what changes.
  Result<std::vector<PolicyChange>> ApplyPolicies(const std::vector<PolicyPlan>& plans,
                                                  bool dry_run);
  // What the policies audit_keep and audit_max_entries say.
  AuditLimits AuditPolicy();
  // Of a branch, which is of the bookmarks of its own states too, or of a bookmark: users may clone
  // it, whose ever it is.
  Status SetApproved(const std::string& source, bool approved);

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
