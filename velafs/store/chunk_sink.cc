#include "velafs/store/chunk_sink.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace velafs::store {
namespace {

// Rows are put into the catalog by this many, each time in about a millisecond: namespace
// operations of all branches wait for that long.
constexpr size_t kChunksPerFlush = 64;
constexpr size_t kManifestsPerFlush = 64;
constexpr size_t kManifestIdsPerFlush = 8 * catalog::kChunksPerPart;

}  // namespace

Result<std::set<PackId>> PublishedPacks(catalog::Catalog& catalog) {
  std::set<PackId> published;
  VELAFS_TRY(catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto rows, reader.Packs());
    for (const catalog::Reader::PackRow& row : rows) {
      if (row.published) published.insert(row.id);
    }
    return {};
  }));
  return published;
}

unsigned ThreadsToStore() { return std::max(1u, std::thread::hardware_concurrency()) + 2; }

ChunkSink::ChunkSink(os::Storage& storage, catalog::Catalog& catalog, std::string packs_directory,
                     LayerId layer, std::set<PackId> published, chunk::Compression compression)
    : storage_(storage),
      catalog_(catalog),
      packs_directory_(std::move(packs_directory)),
      layer_(layer),
      compression_(compression),
      usable_(std::move(published)) {}

Status ChunkSink::Store(std::span<const std::byte> content, std::vector<ChunkId>* ids) {
  std::vector<Claim> chunks;
  for (size_t at = 0; at < content.size(); at += kChunkBytes) {
    const auto chunk = content.subspan(at, std::min<size_t>(kChunkBytes, content.size() - at));
    ChunkId id;
    if (!chunk::IsZeros(chunk)) {
      id = chunk::HashChunk(chunk);
      chunks.push_back({id, chunk, {}, {}, nullptr});
    }
    ids->push_back(id);
  }
  if (chunks.empty()) return {};
  VELAFS_TRY(CompressNew(&chunks));
  std::vector<Claim> claims;
  VELAFS_TRY(ClaimNew(std::move(chunks), &claims));
  return WriteClaims(claims);
}

// Before anything is claimed, and without the lock: it takes longer than all the rest. What another
// thread stores meanwhile has been compressed in vain.
Status ChunkSink::CompressNew(std::vector<Claim>* chunks) {
  if (compression_ == chunk::Compression()) return {};
  std::vector<bool> stored;
  {
    MutexLock lock(mutex_);
    VELAFS_ASSIGN(stored, AreStored(*chunks));
  }
  for (size_t i = 0; i < chunks->size(); ++i) {
    Claim& chunk = (*chunks)[i];
    if (!stored[i]) chunk.compressed = chunk::Compress(chunk.content, compression_);
  }
  return {};
}

Result<std::vector<bool>> ChunkSink::AreStored(const std::vector<Claim>& chunks) {
  std::vector<bool> stored;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) REQUIRES(mutex_) -> Status {
    for (const Claim& chunk : chunks) {
      VELAFS_ASSIGN(const bool is_stored, IsStored(reader, chunk.id));
      stored.push_back(is_stored);
    }
    return {};
  }));
  return stored;
}

Status ChunkSink::ClaimNew(std::vector<Claim> chunks, std::vector<Claim>* claims) {
  MutexLock lock(mutex_);
  // Lookups and claims are one step for all threads: no two of them store the same chunk.
  VELAFS_ASSIGN(const std::vector<bool> stored, AreStored(chunks));
  for (size_t i = 0; i < chunks.size(); ++i) {
    Claim& chunk = chunks[i];
    // Pending is asked again for chunks that this very call holds twice.
    if (stored[i] || pending_chunks_.contains(chunk.id)) {
      ++counts_.chunks_shared;
      continue;
    }
    VELAFS_TRY(MakeRoom());
    const auto raw_bytes = static_cast<uint32_t>(chunk.content.size());
    const auto compressed_bytes = static_cast<uint32_t>(chunk.compressed.size());
    chunk.location = compressed_bytes == 0
                         ? current_->writer->Reserve(raw_bytes)
                         : current_->writer->Reserve(raw_bytes, compressed_bytes, Codec::kZstd);
    chunk.pack = current_;
    ++current_->users;
    pending_chunks_.emplace(chunk.id, chunk.location);
    ++counts_.chunks_new;
    counts_.bytes_stored += chunk.location.stored_bytes;
    claims->push_back(std::move(chunk));
  }
  return FlushIfDue();
}

Result<bool> ChunkSink::IsStored(catalog::Reader& reader, const ChunkId& id) {
  if (pending_chunks_.contains(id)) return true;
  VELAFS_ASSIGN(const std::optional<ChunkLocation> found, reader.Chunk(id));
  return found && usable_.contains(found->pack);
}

Status ChunkSink::MakeRoom() {
  if (current_ != nullptr) {
    if (current_->writer->size_bytes() <= chunk::kPackTargetBytes) return {};
    current_->is_full = true;
    // Without users it would never be released; with some, the last one finishes it.
    if (current_->users == 0) VELAFS_TRY(current_->writer->Finish());
    current_.reset();
  }
  auto pack = std::make_shared<Pack>();
  VELAFS_ASSIGN(const catalog::CommitSequence added,
                catalog_.Write([&](catalog::Writer& writer) -> Status {
                  VELAFS_ASSIGN(pack->id, writer.AddPack());
                  return {};
                }));
  // Before there is a file: one that no catalog has ever known would pass for a newer catalog's.
  VELAFS_TRY(catalog_.MakeDurable(added));
  packs_.push_back(pack->id);
  usable_.insert(pack->id);
  VELAFS_ASSIGN(pack->writer, chunk::PackWriter::Create(storage_, packs_directory_, pack->id));
  current_ = std::move(pack);
  return {};
}

Status ChunkSink::WriteClaims(const std::vector<Claim>& claims) {
  for (const Claim& claim : claims) {
    const std::span<const std::byte> payload =
        claim.compressed.empty() ? claim.content : std::span(claim.compressed);
    VELAFS_TRY(claim.pack->writer->Write(claim.id, claim.location, payload));
    VELAFS_TRY(Release(claim.pack));
  }
  return {};
}

Status ChunkSink::Release(const std::shared_ptr<Pack>& pack) {
  {
    MutexLock lock(mutex_);
    if (--pack->users > 0 || !pack->is_full) return {};
  }
  VELAFS_TRY(pack->writer->Finish());
  pack->writer.reset();
  return {};
}

Status ChunkSink::PutManifest(InodeNumber ino, uint64_t part, catalog::ManifestPartRow row) {
  MutexLock lock(mutex_);
  pending_manifest_ids_ += row.chunks.size();
  pending_manifests_.push_back({ino, part, std::move(row)});
  return FlushIfDue();
}

Status ChunkSink::FlushIfDue() {
  if (pending_chunks_.size() < kChunksPerFlush && pending_manifests_.size() < kManifestsPerFlush &&
      pending_manifest_ids_ < kManifestIdsPerFlush) {
    return {};
  }
  return Flush();
}

Status ChunkSink::Flush() {
  VELAFS_TRY(catalog_
                 .Write([this](catalog::Writer& writer) REQUIRES(mutex_) -> Status {
                   for (const auto& [id, location] : pending_chunks_) {
                     VELAFS_TRY(writer.PutChunk(id, location));
                   }
                   for (const Manifest& manifest : pending_manifests_) {
                     VELAFS_TRY(
                         writer.PutManifestPart(layer_, manifest.ino, manifest.part, manifest.row));
                   }
                   return {};
                 })
                 .status());
  pending_chunks_.clear();
  pending_manifests_.clear();
  pending_manifest_ids_ = 0;
  return {};
}

Status ChunkSink::Finish() {
  MutexLock lock(mutex_);
  VELAFS_TRY(Flush());
  if (current_ != nullptr) VELAFS_TRY(current_->writer->Finish());
  current_.reset();
  return {};
}

std::vector<PackId> ChunkSink::packs() const {
  MutexLock lock(mutex_);
  return packs_;
}

ChunkSink::Counts ChunkSink::counts() const {
  MutexLock lock(mutex_);
  return counts_;
}

}  // namespace velafs::store
