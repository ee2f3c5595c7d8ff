// What branches and bookmarks occupy.
#include <cerrno>
#include <chrono>

#include "velafs/layer/branch.h"
#include "velafs/layer/layer_tree.h"
#include "velafs/layer/volume.h"

namespace velafs::layer {
namespace {

// A count of what a branch in use occupies is this old at most.
constexpr auto kMaxUsageAge = std::chrono::seconds(5);

}  // namespace

Result<std::vector<SpaceUsage>> Volume::UsageOfAll(const std::vector<UsageOf>& tops) {
  LayerTree tree;
  VELAFS_TRY(parts_.catalog.Read([&](catalog::Reader& reader) -> Status {
    return tops.size() == 1 ? tree.LoadFrom(reader, tops[0].top) : tree.Load(reader);
  }));
  std::vector<SpaceUsage> usages;
  usages.reserve(tops.size());
  std::map<LayerId, uint64_t> counted;  // frozen ones whose count the catalog did not have
  for (const UsageOf& of : tops) {
    SpaceUsage usage;
    const std::shared_ptr<Branch> open = of.instance ? FindOpen(of.instance) : nullptr;
    for (const catalog::LayerRow* row : tree.OwnLayers(of.top)) {
      usage.own_bytes += row->stored_bytes;
      if (row->state == catalog::LayerState::kSealed) continue;
      const bool is_head = row->state == catalog::LayerState::kHead;
      if (row->allocated_bytes && !(is_head && (open || !row->is_settled))) {
        usage.own_bytes += *row->allocated_bytes;
        continue;
      }
      VELAFS_ASSIGN(const auto layer, GetLayer(row->id, row->is_settled));
      VELAFS_ASSIGN(const uint64_t allocated, layer->AllocatedBytes(kMaxUsageAge));
      usage.own_bytes += allocated;
      if (!is_head) counted[row->id] = allocated;
    }
    usage.logical_bytes = tree.LogicalBytes(of.top, &usage.is_estimate);
    if (open) {
      const Result<uint64_t> exact = open->LogicalBytes();
      const bool is_retired = exact.status().error_number() == ESTALE;
      if (!exact.ok() && !is_retired) return exact.status();
      if (exact.ok()) usage.logical_bytes = *exact;
      usage.is_estimate = false;
    }
    usages.push_back(usage);
  }
  CacheCounts(counted);
  return usages;
}

// Caches the counts for the next caller. Best effort.
void Volume::CacheCounts(const std::map<LayerId, uint64_t>& counted) {
  if (counted.empty()) return;
  (void)parts_.catalog.Write([&](catalog::Writer& writer) -> Status {
    for (const auto& [id, bytes] : counted) {
      VELAFS_ASSIGN(const auto row, writer.FindLayer(id));
      if (row && row->state == catalog::LayerState::kFrozen) {
        VELAFS_TRY(writer.SetLayerAllocatedBytes(id, bytes));
      }
    }
    return {};
  });
}

void Volume::SetQuota(InstanceId instance, std::optional<uint64_t> bytes) {
  if (const auto branch = FindOpen(instance)) branch->SetQuota(bytes);
}

void Volume::BlockGrowth(const std::set<InstanceId>& full) {
  for (const auto& branch : OpenBranches()) branch->BlockGrowth(full.contains(branch->instance()));
}

Result<SpaceUsage> Volume::Usage(const std::string& name) {
  VELAFS_ASSIGN(const catalog::BranchRow row, FindRow(name));
  VELAFS_ASSIGN(const auto usages, UsageOfAll({{row.head, row.instance}}));
  if (!usages[0].is_estimate) return usages[0];
  VELAFS_TRY(Open(row.instance).status());
  VELAFS_ASSIGN(const auto exact, UsageOfAll({{row.head, row.instance}}));
  return exact[0];
}

}  // namespace velafs::layer
