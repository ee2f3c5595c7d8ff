// Users of the system.
#pragma once

#include <cstdint>
#include <string>

#include "velafs/base/status.h"
#include "velafs/catalog/rows.h"

namespace velafs::store {

// The number when it has no name.
std::string UserName(uint32_t uid);
// By name or number, with the user's own group; Usage when there is none.
Result<catalog::FileOwner> FindUser(const std::string& name);

}  // namespace velafs::store
