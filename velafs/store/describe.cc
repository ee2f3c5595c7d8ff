#include "velafs/store/describe.h"

#include <map>
#include <string>

#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"
#include "velafs/store/context.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

std::optional<std::string> IfAny(const std::string& text) {
  if (text.empty()) return {};
  return text;
}

// Names of users by number, each looked up once: a lookup may read the list of all users.
class UserNames {
 public:
  const std::string& Of(uint32_t uid) {
    const auto [name, is_new] = names_.try_emplace(uid);
    if (is_new) name->second = UserName(uid);
    return name->second;
  }

 private:
  std::map<uint32_t, std::string> names_;
};

BranchInfo Describe(StoreContext& context, const BranchRow& row, const layer::SpaceUsage& usage,
                    UserNames& users) {
  BranchInfo info;
  info.name = row.name;
  if (const std::optional<std::string> mounted = context.mount.mountpoint();
      mounted && !row.deleted_at) {
    info.path = *mounted + "/" + row.name;
  }
  info.parent = IfAny(row.parent_name);
  if (row.parent) info.parent_id = row.parent.value;
  if (!row.parent_bookmark_name.empty()) {
    info.parent_bookmark = row.parent_name + "@" + row.parent_bookmark_name;
  }
  info.owner = row.owner;
  info.state = row.deleted_at ? BranchState::kDeleted : BranchState::kReady;
  if (const auto server = context.servers.On(row.instance); server && !row.deleted_at) {
    info.state = BranchState::kRunning;
    (server->is_postmaster ? info.server_pid : info.orphan_pid) = server->pid;
  }
  info.created_at = row.created_at;
  info.expires_at = row.expires_at;
  info.is_protected = IsProtected(row, NowNs());
  const bool has_end = info.is_protected && row.protected_until != catalog::kProtectedAsSource;
  if (has_end) info.protected_until = row.protected_until;
  info.labels = row.labels;
  info.note = row.note;
  info.own_bytes = usage.own_bytes;
  info.logical_bytes = usage.logical_bytes;
  info.port = row.port;
  info.deleted_at = row.deleted_at;
  info.quota_bytes = row.quota_bytes;
  info.is_ephemeral = row.is_ephemeral;
  info.id = row.id.value;
  info.instance = row.instance.value;
  if (row.shown_as) info.shown_as = users.Of(row.shown_as->uid);
  return info;
}

}  // namespace

Result<std::vector<BranchInfo>> DescribeAll(StoreContext& context,
                                            const std::vector<BranchRow>& rows) {
  std::vector<layer::UsageOf> tops;
  tops.reserve(rows.size());
  for (const BranchRow& row : rows) {
    tops.push_back({row.head, row.deleted_at ? InstanceId() : row.instance});
  }
  VELAFS_ASSIGN(const std::vector<layer::SpaceUsage> usages, context.volume->UsageOfAll(tops));
  std::vector<BranchInfo> list;
  list.reserve(rows.size());
  UserNames users;
  for (size_t i = 0; i < rows.size(); ++i) {
    list.push_back(Describe(context, rows[i], usages[i], users));
  }
  return list;
}

Result<BranchInfo> DescribeOne(StoreContext& context, const BranchRow& row) {
  VELAFS_ASSIGN(std::vector<BranchInfo> infos, DescribeAll(context, {row}));
  return std::move(infos[0]);
}

Result<BranchInfo> ShowBranch(StoreContext& context, const std::string& name) {
  VELAFS_ASSIGN(const BranchRow row, FindBranch(context, name));
  VELAFS_ASSIGN(const layer::SpaceUsage usage, context.volume->Usage(name));
  UserNames users;
  BranchInfo info = Describe(context, row, usage, users);
  if (row.shown_as) {
    VELAFS_ASSIGN(const auto branch, context.volume->Open(name));
    VELAFS_ASSIGN(const layer::Attributes top, branch->Get(branch->root()));
    info.data_owner = UserName(top.uid);
  }
  return info;
}

}  // namespace velafs::store
