#include "velafs/store/gc.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "velafs/catalog/catalog.h"
#include "velafs/layer/layer_merger.h"
#include "velafs/layer/layer_settler.h"
#include "velafs/layer/volume.h"
#include "velafs/store/context.h"
#include "velafs/store/recovery.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

// How much is read, or changed, in one transaction: each holds off everybody else for about a
// millisecond.
constexpr uint64_t kManifestsPerRead = 16;
constexpr uint64_t kChunksPerRead = 1024;
constexpr size_t kChunksPerWrite = 256;

// A pack is rewritten for at least one byte in this many.
constexpr uint64_t kMinGarbageDivisor = 4;
// Packs that are rewritten become one, up to this size; it must be had before theirs is given back.
constexpr uint64_t kJoinedBytes = 64ull << 20;
// Each sealing leaves a pack. So many that are smaller than this are rewritten to become one.
constexpr uint64_t kSmallBytes = kJoinedBytes / 8;
constexpr std::ptrdiff_t kTooManySmall = 8;

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
  const std::vector<Packs> groups = PacksWorthIt();
  if (dry_run) return WouldFree(groups);
  GcProgress done;
  for (const Packs& packs : groups) done.bytes_total += FileBytes(packs);
  GcResult result;
  for (const Packs& packs : groups) {
    if (progress && !progress(done)) return Failed("interrupted");
    VELAFS_TRY(FreeSound(packs, &result));
    done.bytes_done += FileBytes(packs);
  }
  return result;
}

GcResult GarbageCollector::WouldFree(const std::vector<Packs>& groups) const {
  GcResult result;
  for (const Packs& packs : groups) {
    for (const PackId pack : packs) {
      const PackUse& use = uses_.at(pack);
      ++(use.used_bytes > 0 ? result.packs_rewritten : result.packs_removed);
      result.bytes_freed += use.garbage_bytes();
    }
  }
  return result;
}

uint64_t GarbageCollector::FileBytes(const Packs& packs) const {
  uint64_t bytes = 0;
  for (const PackId pack : packs) bytes += uses_.at(pack).file_bytes;
  return bytes;
}

Status GarbageCollector::FindUsedChunks() {
  size_t sort_at = 1 << 16;  // doubles: what files share does not pile up
  catalog::Reader::ManifestRow last;
  for (bool is_more = true; is_more;) {
    VELAFS_ASSIGN(std::vector<catalog::Reader::ManifestRow> manifests,
                  catalog_.Read([&](catalog::Reader& reader) {
                    return reader.ManifestsAfter(last, kManifestsPerRead);
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
  VELAFS_ASSIGN(const std::vector<catalog::Reader::PackRow> packs,
                catalog_.Read(&catalog::Reader::Packs));
  for (const catalog::Reader::PackRow& pack : packs) {
    const auto info = storage_.Stat(chunk::PackPath(packs_directory_, pack.id));
    // One that is missing is for scrub to tell of.
    if (pack.published && info.ok()) uses_[pack.id].file_bytes = info->size_bytes;
  }
  ChunkId last;
  for (bool is_more = true; is_more;) {
    VELAFS_ASSIGN(const std::vector<catalog::Reader::ChunkRow> chunks,
                  catalog_.Read([&](catalog::Reader& reader) {
                    return reader.ChunksAfter(last, kChunksPerRead);
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

std::vector<GarbageCollector::Packs> GarbageCollector::PacksWorthIt() const {
  const auto is_small = [](const auto& pack) { return pack.second.file_bytes < kSmallBytes; };
  const bool join_small = std::ranges::count_if(uses_, is_small) >= kTooManySmall;
  Packs packs;
  for (const auto& pack : uses_) {
    if (pack.second.IsWorthIt() || (join_small && is_small(pack))) packs.push_back(pack.first);
  }
  const auto used_bytes = [this](PackId pack) { return uses_.at(pack).used_bytes; };
  std::ranges::stable_sort(packs, {}, used_bytes);
  std::vector<Packs> groups;
  uint64_t joined = 0;
  for (const PackId pack : packs) {
    if (joined == 0 || joined + used_bytes(pack) > kJoinedBytes) {
      groups.emplace_back();
      joined = 0;
    }
    groups.back().push_back(pack);
    joined += used_bytes(pack);
  }
  return groups;
}

Status GarbageCollector::FreeSound(const Packs& packs, GcResult* result) {
  Status freed = Free(packs, result);
  if (freed.code() != Code::kCorrupt) return freed;
  if (packs.size() == 1) {
    result->damaged.push_back(freed.message());
    return {};
  }
  for (const PackId pack : packs) VELAFS_TRY(FreeSound({pack}, result));
  return {};
}

Status GarbageCollector::Free(const Packs& packs, GcResult* result) {
  std::vector<Moved> used;
  std::vector<std::vector<ChunkId>> garbage;
  for (const PackId pack : packs) {
    VELAFS_ASSIGN(PackContent content, ContentOf(pack));
    std::ranges::move(content.used, std::back_inserter(used));
    garbage.push_back(std::move(content.garbage));
  }
  VELAFS_TRY(CopyUsed(&used));
  for (size_t i = 0; i < packs.size(); ++i) {
    VELAFS_TRY(ForgetPack(packs[i], garbage[i]));
    result->chunks_removed += garbage[i].size();
  }
  const uint64_t before = FileBytes(packs);
  uint64_t kept = 0;
  for (const Moved& chunk : used) kept += chunk::RecordBytes(chunk.to);
  result->bytes_freed += before - std::min(before, kept);
  (used.empty() ? result->packs_removed : result->packs_rewritten) += packs.size();
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

Status GarbageCollector::CopyUsed(std::vector<Moved>* chunks) {
  if (chunks->empty()) return {};
  PackId pack;
  VELAFS_ASSIGN(const catalog::CommitSequence added,
                catalog_.Write([&](catalog::Writer& writer) -> Status {
                  VELAFS_ASSIGN(pack, writer.AddPack());
                  return {};
                }));
  // Before there is a file: one that no catalog has ever known would pass for a newer catalog's.
  VELAFS_TRY(catalog_.MakeDurable(added));
  Status filled = FillPack(pack, chunks);
  if (!filled.ok()) {
    // What this leaves when it fails too is removed when the store is next opened.
    (void)RemoveImport(storage_, catalog_, packs_, packs_directory_, LayerId(), {{pack}});
    return filled;
  }
  VELAFS_TRY(
      catalog_.Write([&](catalog::Writer& writer) { return writer.PublishPack(pack); }).status());
  return WriteInSteps(catalog_, *chunks, [](catalog::Writer& writer, const Moved& chunk) {
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
Status GarbageCollector::ForgetPack(PackId pack, const std::vector<ChunkId>& garbage) {
  VELAFS_TRY(WriteInSteps(catalog_, garbage, [](catalog::Writer& writer, const ChunkId& id) {
    return writer.RemoveChunk(id);
  }));
  VELAFS_ASSIGN(
      const catalog::CommitSequence forgotten,
      catalog_.Write([&](catalog::Writer& writer) { return writer.RemoveEmptyPack(pack); }));
  VELAFS_TRY(catalog_.MakeDurable(forgotten));
  VELAFS_TRY(RemovePackFile(storage_, chunk::PackPath(packs_directory_, pack)));
  packs_.Forget(pack);
  return {};
}

Result<GcResult> UpkeepVerbs::CollectGarbage(const Caller& caller, bool dry_run,
                                             const GcProgressFn& progress) {
  const std::string context = "cannot collect garbage";
  if (!caller.IsAdmin()) return Refused(context + ": that is for admins");
  const Status interrupted = Failed(context + ": interrupted");
  const auto go_on = [&progress] { return progress == nullptr || progress({}); };
  GcResult merged;
  while (!dry_run) {
    const Result<std::optional<uint64_t>> freed = MergeLayers(go_on);
    if (!go_on()) return interrupted;
    VELAFS_TRY(freed.status());
    if (!*freed) break;
    ++merged.layers_merged;
    merged.bytes_freed += **freed;
  }
  const auto packs_turn = context_.packs_turn.WaitWhile(go_on);
  if (!packs_turn) return interrupted;
  // An import may be about to use a chunk that nothing else does.
  const auto import_turn = context_.import_turn.WaitWhile(go_on);
  if (!import_turn) return interrupted;
  GarbageCollector collector(context_.storage, *context_.catalog, *context_.packs,
                             context_.paths.Packs());
  Result<GcResult> result = collector.Run(dry_run, progress);
  if (!result.ok()) return std::move(result).status().WithContext(context);
  result->layers_merged = merged.layers_merged;
  result->bytes_freed += merged.bytes_freed;
  return result;
}

Result<std::optional<uint64_t>> UpkeepVerbs::MergeLayers(const std::function<bool()>& go_on) {
  const auto turn = context_.merge_turn.WaitWhile(go_on);
  if (!turn) return std::optional<uint64_t>();
  VELAFS_TRY(layer::SettleLayers(*context_.volume, go_on));
  std::unique_ptr<layer::LayerMerger> merger;
  {
    WriterLock verbs(context_.verbs_mutex);
    VELAFS_ASSIGN(merger, layer::LayerMerger::Start(*context_.volume));
  }
  if (!merger) return std::optional<uint64_t>();
  VELAFS_ASSIGN(const uint64_t freed, merger->Run(go_on));
  return std::optional(freed);
}

}  // namespace velafs::store
