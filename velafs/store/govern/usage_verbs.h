// The verbs that count what the store, its branches and their owners take.
#pragma once

#include <map>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe.
class UsageVerbs {
 public:
  explicit UsageVerbs(StoreContext& context) : context_(context) {}

  Result<StoreStats> Stats();
  // By owner, of all branches.
  Result<std::map<std::string, OwnerUsage>> ByOwner();
  // Holds back the branches of owners who have used up what the policy quota_per_owner gives them,
  // and lets go of the others. To be run every now and then.
  Status EnforceOwnerQuotas();

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
