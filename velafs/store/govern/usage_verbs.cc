#include "velafs/store/govern/usage_verbs.h"

#include <cerrno>
#include <set>

#include "velafs/layer/layer_tree.h"
#include "velafs/layer/volume.h"
#include "velafs/store/context.h"
#include "velafs/store/describe.h"
#include "velafs/store/govern/limits.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/lookup.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

Result<uint64_t> BytesOnDisk(os::Storage& storage, const std::string& directory) {
  uint64_t total = 0;
  const auto entries = storage.List(directory);
  if (entries.status().error_number() == ENOENT) return uint64_t{0};  // gone by now
  VELAFS_TRY(entries.status());
  for (const os::DirectoryEntry& entry : *entries) {
    const std::string path = directory + "/" + entry.name;
    if (entry.is_directory) {
      VELAFS_ASSIGN(const uint64_t inside, BytesOnDisk(storage, path));
      total += inside;
    } else if (const Result<os::FileInfo> info = storage.Stat(path); info.ok()) {
      total += info->allocated_bytes;  // what is gone by now counts nothing
    }
  }
  return total;
}

}  // namespace

Result<StoreStats> UsageVerbs::Stats() {
  StoreStats stats;
  std::vector<BranchRow> rows;
  VELAFS_TRY(context_.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    VELAFS_ASSIGN(const std::vector<BranchRow> deleted, reader.DeletedBranches());
    stats.trashed = deleted.size();
    for (const BranchRow& row : rows) {
      VELAFS_ASSIGN(const std::vector<catalog::BookmarkRow> bookmarks, reader.Bookmarks(row.id));
      stats.bookmarks += bookmarks.size();
    }
    VELAFS_ASSIGN(stats.chunk_count, reader.ChunkCount());
    return {};
  }));
  stats.branches = rows.size();
  VELAFS_ASSIGN(const std::vector<BranchInfo> infos, DescribeAll(context_, rows));
  for (const BranchInfo& info : infos) stats.logical_bytes += info.logical_bytes;
  VELAFS_ASSIGN(const uint64_t packs_bytes, BytesOnDisk(context_.storage, context_.paths.Packs()));
  VELAFS_ASSIGN(const uint64_t layers_bytes,
                BytesOnDisk(context_.storage, context_.paths.Layers()));
  stats.stored_bytes = packs_bytes + layers_bytes;
  return stats;
}

Result<std::map<std::string, OwnerUsage>> UsageVerbs::ByOwner() {
  std::vector<BranchRow> rows;
  std::map<std::string, OwnerUsage> usage;
  layer::LayerTree tree;
  VELAFS_TRY(context_.catalog->Read([&](catalog::Reader& reader) -> Status {
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
    VELAFS_TRY(context_.catalog->Read([&](catalog::Reader& reader) -> Status {
      for (const catalog::LayerRow* layer : tree.OwnLayers(row.head)) {
        VELAFS_ASSIGN(const uint64_t names, reader.NameCount(layer->id));
        of.names += names;
      }
      return {};
    }));
  }
  VELAFS_ASSIGN(const std::vector<BranchInfo> infos, DescribeAll(context_, rows));
  for (const BranchInfo& info : infos) usage[info.owner].own_bytes += info.own_bytes;
  return usage;
}

Status UsageVerbs::EnforceOwnerQuotas() {
  const std::optional<uint64_t> most = context_.policies->Size("quota_per_owner", nullptr);
  std::set<InstanceId> full;
  if (most) {
    // Those in the trash too: else deleting would be a way to have any amount.
    VELAFS_ASSIGN(const std::vector<BranchRow> branches, AllBranches(context_));
    VELAFS_ASSIGN(const auto used, UsageOfOwners(context_, branches));
    for (const BranchRow& branch : branches) {
      if (used.at(branch.owner) >= *most) full.insert(branch.instance);
    }
  }
  context_.volume->BlockGrowth(full);
  return {};
}

}  // namespace velafs::store
