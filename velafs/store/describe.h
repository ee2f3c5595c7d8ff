// Descriptions of branches for the verbs.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/catalog/rows.h"
#include "velafs/store/branch_info.h"

namespace velafs::store {

struct StoreContext;

// One branch by name, with the owner of its data if it is shown as another user's.
Result<BranchInfo> ShowBranch(StoreContext& context, const std::string& name);
// Everything except that owner, which needs the branch opened.
Result<std::vector<BranchInfo>> DescribeAll(StoreContext& context,
                                            const std::vector<catalog::BranchRow>& rows);
Result<BranchInfo> DescribeOne(StoreContext& context, const catalog::BranchRow& row);

}  // namespace velafs::store
