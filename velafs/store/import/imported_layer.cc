#include "velafs/store/import/imported_layer.h"

#include <algorithm>

#include "velafs/store/recovery.h"

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

constexpr uint32_t kInodesPerBatch = 1024;
constexpr uint32_t kRowsPerTransaction = 100;

}  // namespace

ImportedLayer::ImportedLayer(os::Storage& storage, catalog::Catalog& catalog,
                             const StorePaths& paths, const chunk::Compression& compression)
    : storage_(storage), catalog_(catalog), paths_(paths), compression_(compression) {}

ImportedLayer::~ImportedLayer() = default;

Status ImportedLayer::Begin() {
  VELAFS_ASSIGN(std::set<PackId> published, PublishedPacks(catalog_));
  VELAFS_TRY(catalog_
                 .Write([&](catalog::Writer& writer) -> Status {
                   VELAFS_ASSIGN(id_, writer.AddLayer(LayerId(), catalog::LayerState::kImporting));
                   return {};
                 })
                 .status());
  sink_ = std::make_unique<ChunkSink>(storage_, catalog_, paths_.Packs(), id_, std::move(published),
                                      compression_);
  return {};
}

Status ImportedLayer::ReserveInodes(size_t count) {
  const size_t batches = (count + kInodesPerBatch - 1) / kInodesPerBatch;
  if (batches <= first_inos_.size()) return {};
  return catalog_
      .Write([&](catalog::Writer& writer) -> Status {
        while (first_inos_.size() < batches) {
          VELAFS_ASSIGN(const InodeNumber first, writer.ReserveInodes(kInodesPerBatch));
          first_inos_.push_back(first);
        }
        return {};
      })
      .status();
}

InodeNumber ImportedLayer::InoOf(uint32_t entry) const {
  return InodeNumber(first_inos_[entry / kInodesPerBatch].value + entry % kInodesPerBatch);
}

Status ImportedLayer::PutRows(const Source& source, const std::function<bool()>& go_on) {
  const uint32_t count = static_cast<uint32_t>(source.entries.size());
  for (uint32_t begin = 0; begin < count && go_on(); begin += kRowsPerTransaction) {
    const uint32_t end = std::min(count, begin + kRowsPerTransaction);
    VELAFS_TRY(catalog_
                   .Write([&](catalog::Writer& writer) -> Status {
                     for (uint32_t i = begin; i < end; ++i) VELAFS_TRY(PutRow(writer, source, i));
                     return {};
                   })
                   .status());
  }
  return {};
}

Status ImportedLayer::PutRow(catalog::Writer& writer, const Source& source, uint32_t index) const {
  const SourceEntry& entry = source.entries[index];
  if (entry.kind == Kind::kNothing) return {};
  const bool is_other_name = entry.kind == Kind::kOtherName;
  const InodeNumber ino = InoOf(is_other_name ? entry.same_as : index);
  if (index != 0) {
    VELAFS_TRY(writer.PutName(id_, {InoOf(entry.parent), entry.name, ino}));
  }
  if (is_other_name) return {};
  catalog::InodeRow row;
  row.ino = ino;
  row.mode = entry.info.st_mode;
  row.uid = entry.info.st_uid;
  row.gid = entry.info.st_gid;
  row.nlink = entry.nlink;
  row.atime = ToTimeNs(entry.info.st_atim);
  row.mtime = ToTimeNs(entry.info.st_mtim);
  row.ctime = ToTimeNs(entry.info.st_ctim);
  row.born_here = true;
  if (entry.kind == Kind::kFile) row.size_bytes = source.SizeOf(index);
  if (entry.kind == Kind::kSymlink) {
    row.target = entry.target;
    row.size_bytes = entry.target.size();
  }
  return writer.PutInode(id_, row);
}

Status ImportedLayer::Finish() {
  VELAFS_TRY(sink_->Finish());
  packs_ = sink_->packs();
  counts_ = sink_->counts();
  return {};
}

Status ImportedLayer::Publish(catalog::Writer& writer, uint64_t logical_bytes) const {
  for (const PackId pack : packs_) VELAFS_TRY(writer.PublishPack(pack));
  VELAFS_TRY(writer.SetLayerLogicalBytes(id_, logical_bytes));
  VELAFS_TRY(writer.SetLayerStoredBytes(id_, counts_.bytes_stored));
  return writer.SetLayerState(id_, catalog::LayerState::kSealed);
}

Status ImportedLayer::Abandon(chunk::PackReader& packs) {
  if (sink_ == nullptr) return {};
  const std::vector<PackId> pack_ids = sink_->packs();
  sink_.reset();  // closes the packs: their space comes back with the removal of the files
  return RemoveImport(storage_, catalog_, packs, paths_.Packs(), id_, pack_ids);
}

}  // namespace velafs::store
