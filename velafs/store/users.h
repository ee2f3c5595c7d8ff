// Users of the system.
#pragma once

#include <cstdint>
#include <string>

#include "velafs/base/status.h"
#include "velafs/catalog/rows.h"

namespace velafs::store {

// The number when it has no name.
std::string UserName(uint32_t uid);
// By name or number, with the user's own group; Usage if there is no such user.
Result<catalog::FileOwner> FindUser(const std::string& name);
// USER, or USER:GROUP, each by name or number. A number need not be a user's or a group's here: a
// container has its own. Without GROUP it is the user's own, or has the user's number.
Result<catalog::FileOwner> FindFileOwner(const std::string& text);

}  // namespace velafs::store
