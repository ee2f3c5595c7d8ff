#include "velafs/store/govern/access.h"

#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "velafs/store/rules.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

constexpr int kMaxGroups = 4096;

struct RoleGroup {
  Role role;
  const char* policy;
  const char* name;
};

constexpr std::array kRoleGroups = {
    RoleGroup{Role::kAdmin, "admin_group", "admin"},
    RoleGroup{Role::kUser, "user_group", "user"},
    RoleGroup{Role::kViewer, "viewer_group", "viewer"},
};

std::optional<uint32_t> GroupId(const std::string& name) {
  std::vector<char> buffer(64 * 1024);
  group entry{};
  group* found = nullptr;
  if (!name.empty()) getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? std::nullopt : std::optional<uint32_t>(found->gr_gid);
}

std::string WhoMay(const Policies& policies, Role needed) {
  std::string who = "only root and the store's owner may do this";
  for (const RoleGroup& one : kRoleGroups) {
    const std::string name = policies.Get(one.policy, nullptr);
    if (one.role >= needed && !name.empty()) {
      who = "members of group " + Quoted(name) + ", root and the store's owner may do this";
    }
  }
  return who;
}

}  // namespace

bool Caller::IsAdmin() const { return role == Role::kAdmin || uid == 0 || uid == geteuid(); }

Role RoleOf(const Policies& policies, const Caller& caller) {
  if (caller.uid == 0 || caller.uid == geteuid()) return Role::kAdmin;
  for (const RoleGroup& one : kRoleGroups) {
    const std::optional<uint32_t> gid = GroupId(policies.Get(one.policy, nullptr));
    if (!gid) continue;
    const bool is_member =
        caller.gid == *gid || std::ranges::find(caller.groups, *gid) != caller.groups.end();
    if (is_member) return one.role;
  }
  return Role::kNone;
}

Role RoleOfUser(const Policies& policies, const std::string& name) {
  const Result<catalog::FileOwner> user = FindUser(name);
  if (!user.ok()) return Role::kNone;
  int count = kMaxGroups;
  std::vector<gid_t> groups(kMaxGroups);
  if (getgrouplist(name.c_str(), user->gid, groups.data(), &count) < 0) count = kMaxGroups;
  groups.resize(static_cast<size_t>(count));
  return RoleOf(policies, {.uid = user->uid, .user = name, .gid = user->gid, .groups = groups});
}

std::optional<uint32_t> AdminGroup(const Policies& policies) {
  return GroupId(policies.Get("admin_group", nullptr));
}

bool IsShared(const Policies& policies) {
  return std::ranges::any_of(kRoleGroups, [&policies](const RoleGroup& one) {
    return !policies.Get(one.policy, nullptr).empty();
  });
}

Status CheckRole(const Policies& policies, const Caller& caller, Role needed) {
  if (caller.role >= needed) return {};
  const auto* const wanted = std::ranges::find(kRoleGroups, needed, &RoleGroup::role);
  VELAFS_CHECK(wanted != kRoleGroups.end());
  return Refused("user " + Quoted(caller.user) + " needs the " + wanted->name + " role",
                 WhoMay(policies, needed));
}

Status CheckMayTake(const Policies& policies, const Caller& caller,
                    const catalog::BranchRow& branch, const catalog::BookmarkRow* bookmark) {
  if (caller.IsAdmin() || caller.user == branch.owner) return {};
  if (policies.Get("approved_sources_only", &branch) == "off") return {};
  if (policies.IsApproved(branch, bookmark)) return {};
  const std::string name = bookmark == nullptr ? branch.name : branch.name + "@" + bookmark->name;
  return Refused(Quoted(name) + " belongs to " + Quoted(branch.owner) + " and is not approved",
                 "an admin can approve it: velafs approve " + name);
}

}  // namespace velafs::store
