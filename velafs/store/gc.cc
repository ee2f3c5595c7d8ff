#include "velafs/store/gc.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "velafs/store/recovery.h"

namespace velafs::store {
namespace {

// How much is read, or changed, in one transaction: each holds off everybody else for about a
// millisecond.
constexpr uint64_t kManifestsPerRead = 16;
constexpr uint64_t kChunksPerRead = 1024;
constexpr size_t kChunksPerWrite = 256;

// A pack is rewritten for at least one byte in this many.
constexpr uint64_t kMinGarbageDivisor = 4;

uint64_t Prefix(const ChunkId& id) {
  uint64_t prefix = 0;
  std::memcpy(&prefix, id.bytes.data(), sizeof prefix);
  return prefix;
}

void SortUnique(std::vector<uint64_t>* values) {
  std::sort(values->begin(), values->end());
  values->erase(std::unique(values->begin(), values->end()), values->end());
}

// Calls `change` for all of `items`, so many in a transaction.
template <typename Item, typename Change>
Status WriteInSteps(catalog::Catalog& catalog, const std::vector<Item>& items, Change change) {
  for (size_t at = 0; at < items.size(); at += kChunksPerWrite) {
    const size_t end = std::min(items.size(), at + kChunksPerWrite);
    VELAFS_TRY(catalog
                   .Write([&](catalog::Writer& writer) -> Status {
                     for (size_t i = at; i < end; ++i) VELAFS_TRY(change(writer, items[i]));
                     return {};
                   })
                   .status());
  }
  return {};
}

}  // namespace

bool GarbageCollector::PackUse::IsWorthIt() const {
  return used_bytes == 0 || garbage_bytes() >= file_bytes / kMinGarbageDivisor;
}

GarbageCollector::GarbageCollector(os::Storage& storage, catalog::Catalog& catalog,
                                   chunk::PackReader& packs, std::string packs_directory)
    : storage_(storage),
      catalog_(catalog),
      packs_(packs),
      packs_directory_(std::move(packs_directory)) {}

Result<GcResult> GarbageCollector::Run(bool dry_run, const GcProgressFn& progress) {
  VELAFS_TRY(FindUsedChunks());
  VELAFS_TRY(MeasurePacks());
  const std::vector<PackId> packs = PacksWorthIt();
  GcProgress done;
  for (const PackId pack : packs) done.bytes_total += uses_[pack].file_bytes;

  GcResult result;
  for (const PackId pack : packs) {
    if (progress && !progress(done)) return Failed("interrupted");
    const PackUse& use = uses_[pack];
    if (dry_run) {
      ++(use.used_bytes > 0 ? result.packs_rewritten : result.packs_removed);
      result.bytes_freed += use.garbage_bytes();
    } else if (Status freed = Free(pack, &result); freed.code() == Code::kCorrupt) {
      result.damaged.push_back(freed.message());
    } else {
      VELAFS_TRY(std::move(freed));
    }
    done.bytes_done += use.file_bytes;
  }
  return result;
}

Status GarbageCollector::FindUsedChunks() {
  size_t sort_at = 1 << 16;  // doubles: what files share does not pile up
  catalog::Reader::ManifestRow last;
  for (bool is_more = true; is_more;) {
    std::vector<catalog::Reader::ManifestRow> manifests;
    VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(manifests, reader.ManifestsAfter(last, kManifestsPerRead));
      return {};
    }));
    for (const catalog::Reader::ManifestRow& manifest : manifests) {
      for (const ChunkId& id : manifest.chunks) {
        if (!id.IsZeros()) used_.push_back(Prefix(id));
      }
    }
    is_more = !manifests.empty();
    if (is_more) last = std::move(manifests.back());
    if (used_.size() < sort_at) continue;
    SortUnique(&used_);
    sort_at = std::max(sort_at, 2 * used_.size());
  }
  SortUnique(&used_);
  return {};
}

bool GarbageCollector::IsUsed(const ChunkId& id) const {
  return std::binary_search(used_.begin(), used_.end(), Prefix(id));
}

Status GarbageCollector::MeasurePacks() {
  std::vector<catalog::Reader::PackRow> packs;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(packs, reader.Packs());
    return {};
  }));
  for (const catalog::Reader::PackRow& pack : packs) {
    const auto info = storage_.Stat(chunk::PackPath(packs_directory_, pack.id));
    // One that is missing is for scrub to tell of.
    if (pack.published && info.ok()) uses_[pack.id].file_bytes = info->size_bytes;
  }
  ChunkId last;
  for (bool is_more = true; is_more;) {
    std::vector<catalog::Reader::ChunkRow> chunks;
    VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(chunks, reader.ChunksAfter(last, kChunksPerRead));
      return {};
    }));
    for (const catalog::Reader::ChunkRow& chunk : chunks) {
      const auto use = uses_.find(chunk.location.pack);
      if (use != uses_.end() && IsUsed(chunk.id)) {
        use->second.used_bytes += chunk::RecordBytes(chunk.location);
      }
      last = chunk.id;
    }
    is_more = !chunks.empty();
  }
  return {};
}

std::vector<PackId> GarbageCollector::PacksWorthIt() const {
  std::vector<PackId> packs;
  for (const auto& [pack, use] : uses_) {
    if (use.IsWorthIt()) packs.push_back(pack);
  }
  std::stable_sort(packs.begin(), packs.end(), [this](PackId a, PackId b) {
    return uses_.at(a).used_bytes < uses_.at(b).used_bytes;
  });
  return packs;
}

Status GarbageCollector::Free(PackId pack, GcResult* result) {
  VELAFS_ASSIGN(PackContent content, ContentOf(pack));
  const uint64_t before = uses_[pack].file_bytes;
  VELAFS_TRY(CopyUsed(&content));
  VELAFS_TRY(ForgetPack(pack, content));
  uint64_t kept = 0;
  for (const Moved& chunk : content.used) kept += chunk::RecordBytes(chunk.to);
  result->chunks_removed += content.garbage.size();
  result->bytes_freed += before - std::min(before, kept);
  ++(content.used.empty() ? result->packs_removed : result->packs_rewritten);
  return {};
}

Result<GarbageCollector::PackContent> GarbageCollector::ContentOf(PackId pack) {
  std::vector<catalog::Reader::ChunkRow> records;
  // What cannot be read to its end may hold chunks that are in use behind the damage.
  VELAFS_TRY(chunk::EnumeratePack(storage_, packs_directory_, pack,
                                  [&](const ChunkId& id, const ChunkLocation& location) -> Status {
                                    records.push_back({id, location});
                                    return {};
                                  }));
  PackContent content;
  for (size_t at = 0; at < records.size(); at += kChunksPerRead) {
    const size_t end = std::min<size_t>(records.size(), at + kChunksPerRead);
    VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
      for (size_t i = at; i < end; ++i) {
        VELAFS_ASSIGN(const std::optional<ChunkLocation> known, reader.Chunk(records[i].id));
        if (known != records[i].location) continue;  // moved by a run that was cut off
        if (IsUsed(records[i].id)) {
          content.used.push_back({records[i].id, *known, {}});
        } else {
          content.garbage.push_back(records[i].id);
        }
      }
      return {};
    }));
  }
  return content;
}

Status GarbageCollector::CopyUsed(PackContent* content) {
  if (content->used.empty()) return {};
  PackId pack;
  VELAFS_ASSIGN(const catalog::CommitSequence added,
                catalog_.Write([&](catalog::Writer& writer) -> Status {
                  VELAFS_ASSIGN(pack, writer.AddPack());
                  return {};
                }));
  // Before there is a file: one that no catalog has ever known would pass for a newer catalog's.
  VELAFS_TRY(catalog_.MakeDurable(added));
  Status filled = FillPack(pack, &content->used);
  if (!filled.ok()) {
    // What this leaves when it fails too is removed when the store is next opened.
    (void)RemoveImport(storage_, catalog_, packs_, packs_directory_, LayerId(), {{pack}});
    return filled;
  }
  VELAFS_TRY(
      catalog_.Write([&](catalog::Writer& writer) { return writer.PublishPack(pack); }).status());
  return WriteInSteps(catalog_, content->used, [](catalog::Writer& writer, const Moved& chunk) {
    return writer.PutChunk(chunk.id, chunk.to);
  });
}

Status GarbageCollector::FillPack(PackId pack, std::vector<Moved>* chunks) {
  VELAFS_ASSIGN(const auto writer, chunk::PackWriter::Create(storage_, packs_directory_, pack));
  std::vector<std::byte> buffer(kChunkBytes);
  for (Moved& chunk : *chunks) {
    // Damage must stay where it is found, under its own pack and offset.
    VELAFS_TRY(packs_.Verify(chunk.from, chunk.id));
    const auto payload = std::span(buffer).first(chunk.from.stored_bytes);
    VELAFS_TRY(packs_.ReadPayload(chunk.from, payload));
    chunk.to = writer->Reserve(chunk.from.raw_bytes, chunk.from.stored_bytes, chunk.from.codec);
    VELAFS_TRY(writer->Write(chunk.id, chunk.to, payload));
  }
  return writer->Finish();
}

// The file goes when no crash can bring back a row that leads to it.
Status GarbageCollector::ForgetPack(PackId pack, const PackContent& content) {
  VELAFS_TRY(WriteInSteps(
      catalog_, content.garbage,
      [](catalog::Writer& writer, const ChunkId& id) { return writer.RemoveChunk(id); }));
  VELAFS_ASSIGN(
      const catalog::CommitSequence forgotten,
      catalog_.Write([&](catalog::Writer& writer) { return writer.RemoveEmptyPack(pack); }));
  VELAFS_TRY(catalog_.MakeDurable(forgotten));
  VELAFS_TRY(RemovePackFile(storage_, chunk::PackPath(packs_directory_, pack)));
  packs_.Forget(pack);
  return {};
}

Result<GcResult> Store::CollectGarbage(const Caller& caller, bool dry_run,
                                       const GcProgressFn& progress) {
  const std::string context = "cannot collect garbage";
  if (!caller.IsAdmin()) return Refused(context + ": that is for admins");
  GcResult merged;
  while (!dry_run) {
    VELAFS_ASSIGN(const std::optional<uint64_t> freed, MergeLayers([] { return true; }));
    if (!freed) break;
    ++merged.layers_merged;
    merged.bytes_freed += *freed;
  }
  MutexLock packs_lock(packs_mutex_);
  MutexLock lock(import_mutex_);  // an import may be about to use a chunk that nothing else does
  GarbageCollector collector(storage_, *catalog_, *packs_, paths_.Packs());
  Result<GcResult> result = collector.Run(dry_run, progress);
  if (!result.ok()) return std::move(result).status().WithContext(context);
  result->layers_merged = merged.layers_merged;
  result->bytes_freed += merged.bytes_freed;
  return result;
}

Result<std::optional<uint64_t>> Store::MergeLayers(const std::function<bool()>& go_on) {
  MutexLock lock(merge_mutex_);
  std::optional<layer::Volume::Merge> merge;
  {
    MutexLock verbs(verbs_mutex_);
    VELAFS_ASSIGN(merge, volume_->BeginMerge());
  }
  if (!merge) return std::optional<uint64_t>();
  VELAFS_ASSIGN(const uint64_t freed, volume_->FinishMerge(*merge, go_on));
  return std::optional(freed);
}

}  // namespace velafs::store
