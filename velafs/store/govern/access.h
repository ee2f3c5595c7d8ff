// Access rights: roles, by the groups that policies name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/caller.h"
#include "velafs/store/govern/policies.h"

namespace velafs::store {

// The highest a caller has: admin to root, the user this process runs as and members of
// admin_group; the others to members of their groups.
Role RoleOf(const Policies& policies, const Caller& caller);
// The role of a user by name; kNone if there is no such user.
Role RoleOfUser(const Policies& policies, const std::string& name);
// The group whose members are admins, if the policy names one.
std::optional<uint32_t> AdminGroup(const Policies& policies);
// Whether there is anybody but root and the user of this process who may call.
bool IsShared(const Policies& policies);
// Refused, saying who may, unless the caller has that role or a higher one.
Status CheckRole(const Policies& policies, const Caller& caller, Role needed);
// Refused to a user when the state is neither his nor approved, and the policy asks for that.
Status CheckMayTake(const Policies& policies, const Caller& caller,
                    const catalog::BranchRow& branch, const catalog::BookmarkRow* bookmark);

}  // namespace velafs::store
