// The verbs that count the space of the store, its branches and their owners.
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
  // Blocks growth of the branches of owners who have used up the policy quota_per_owner, and
  // unblocks all others. Run it periodically.
  Status EnforceOwnerQuotas();

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
