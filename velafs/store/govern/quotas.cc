// What branches and owners may occupy.
#include <set>

#include "velafs/layer/layer_tree.h"
#include "velafs/store/govern/quota_size.h"
#include "velafs/store/rules.h"
#include "velafs/store/store.h"

namespace velafs::store {

using catalog::BranchRow;

Result<std::optional<uint64_t>> Store::CloneQuota(const Caller& caller,
                                                  std::optional<uint64_t> wanted,
                                                  const BranchRow& of) const {
  if (!wanted) return policies_->Size("quota", &of);
  VELAFS_TRY(CheckQuotaSize(*wanted));
  VELAFS_TRY(CheckQuotaPolicy(caller, wanted, of));
  return wanted;
}

Status Store::CheckQuotaPolicy(const Caller& caller, std::optional<uint64_t> wanted,
                               const BranchRow& of) const {
  const std::optional<uint64_t> most = policies_->Size("quota", &of);
  if (caller.IsAdmin() || !most || (wanted && *wanted <= *most)) return {};
  return Refused("policy quota allows at most " + policies_->Get("quota", &of),
                 "an admin can give more");
}

Result<BranchInfo> Store::SetQuota(const Caller& caller, const std::string& name,
                                   std::optional<uint64_t> bytes) {
  return ChangeRow(caller, "set the quota of", name, [&](BranchRow& row) -> Status {
    if (bytes) VELAFS_TRY(CheckQuotaSize(*bytes));
    VELAFS_TRY(CheckQuotaPolicy(caller, bytes, row));
    row.quota_bytes = bytes;
    return {};
  });
}

Result<std::map<std::string, uint64_t>> Store::UsageOfOwners(
    const std::vector<BranchRow>& branches) {
  std::vector<layer::UsageOf> tops;
  tops.reserve(branches.size());
  for (const BranchRow& branch : branches) tops.push_back({branch.head, branch.instance});
  VELAFS_ASSIGN(const std::vector<layer::SpaceUsage> usages, volume_->UsageOfAll(tops));
  std::map<std::string, uint64_t> used;
  for (size_t i = 0; i < branches.size(); ++i) used[branches[i].owner] += usages[i].own_bytes;
  return used;
}

Result<std::map<std::string, OwnerUsage>> Store::UsageByOwner() {
  std::vector<BranchRow> rows;
  std::map<std::string, OwnerUsage> usage;
  layer::LayerTree tree;
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    VELAFS_ASSIGN(const std::vector<BranchRow> deleted, reader.DeletedBranches());
    rows.insert(rows.end(), deleted.begin(), deleted.end());
    VELAFS_TRY(tree.Load(reader));
    return {};
  }));
  for (const BranchRow& row : rows) {
    OwnerUsage& of = usage[row.owner];
    ++(row.deleted_at ? of.trashed : of.branches);
    // One by one: requests to the mount wait for the catalog meanwhile.
    VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
      for (const catalog::LayerRow* layer : tree.OwnLayers(row.head)) {
        VELAFS_ASSIGN(const uint64_t names, reader.NameCount(layer->id));
        of.names += names;
      }
      return {};
    }));
  }
  VELAFS_ASSIGN(const std::vector<BranchInfo> infos, DescribeAll(rows));
  for (const BranchInfo& info : infos) usage[info.owner].own_bytes += info.own_bytes;
  return usage;
}

Status Store::EnforceOwnerQuotas() {
  const std::optional<uint64_t> most = policies_->Size("quota_per_owner", nullptr);
  std::set<InstanceId> full;
  if (most) {
    // Those in the trash too: else deleting would be a way to have any amount.
    VELAFS_ASSIGN(const std::vector<BranchRow> branches, AllBranches());
    VELAFS_ASSIGN(const auto used, UsageOfOwners(branches));
    for (const BranchRow& branch : branches) {
      if (used.at(branch.owner) >= *most) full.insert(branch.instance);
    }
  }
  volume_->BlockGrowth(full);
  return {};
}

}  // namespace velafs::store
