#include "velafs/layer/sealed_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace velafs::layer {
namespace {

// Of the chunk in its part.
uint64_t IndexOf(uint64_t offset_bytes) { return offset_bytes % catalog::kPartBytes / kChunkBytes; }

}  // namespace

Status SealedFile::Read(uint64_t offset_bytes, std::span<std::byte> into) {
  while (!into.empty()) {
    VELAFS_ASSIGN(const PartPtr part, PartAt(offset_bytes / catalog::kPartBytes));
    const uint64_t index = IndexOf(offset_bytes);
    const uint64_t in_chunk = offset_bytes % kChunkBytes;
    const size_t length = std::min<size_t>(into.size(), kChunkBytes - in_chunk);
    const auto piece = into.first(length);
    // Of a chunk of zeros, none.
    const uint64_t stored =
        index < part->chunks.size() ? part->chunks[index].location.raw_bytes : 0;
    const size_t from_chunk = stored > in_chunk ? std::min<size_t>(length, stored - in_chunk) : 0;
    if (from_chunk > 0) VELAFS_TRY(ReadStored(part, index, in_chunk, piece.first(from_chunk)));
    std::memset(piece.data() + from_chunk, 0, length - from_chunk);
    into = into.subspan(length);
    offset_bytes += length;
  }
  return {};
}

Status SealedFile::ReadStored(const PartPtr& part, uint64_t index, uint64_t in_chunk,
                              std::span<std::byte> into) {
  Status read = ReadChunk(*part, index, in_chunk, into);
  if (read.code() != Code::kCorrupt && read.error_number() != ENOENT) return read;
  // It may have moved to another pack since its place was looked up.
  VELAFS_ASSIGN(const PartPtr now, LoadPart(part->number));
  if (index >= now->chunks.size()) return read;
  if (now->chunks[index].location == part->chunks[index].location) return read;
  {
    WriterLock lock(lock_);
    parts_[part->number] = now;
  }
  return ReadChunk(*now, index, in_chunk, into);
}

// To verify each time would have random reads of 8 KiB cost several times as much.
Status SealedFile::ReadChunk(Part& part, uint64_t index, uint64_t in_chunk,
                             std::span<std::byte> into) {
  const Chunk& chunk = part.chunks[index];
  std::atomic<uint64_t>& verified = part.verified[index / 64];
  const uint64_t bit = uint64_t{1} << (index % 64);
  if ((verified & bit) != 0) return packs_.Read(chunk.location, in_chunk, into);
  VELAFS_TRY(packs_.ReadVerified(chunk.location, chunk.id, in_chunk, into));
  verified |= bit;
  return {};
}

Result<PageFile::Extent> SealedFile::ExtentAt(uint64_t offset_bytes, uint64_t limit_bytes) {
  VELAFS_ASSIGN(const PartPtr part, PartAt(offset_bytes / catalog::kPartBytes));
  const uint64_t index = IndexOf(offset_bytes);
  const bool is_data = index < part->chunks.size() && !part->chunks[index].id.IsZeros();
  const uint64_t rest_of_chunk = kChunkBytes - offset_bytes % kChunkBytes;
  return PageFile::Extent{is_data, std::min(rest_of_chunk, limit_bytes)};
}

Result<std::vector<ChunkId>> SealedFile::ChunkIds(uint64_t part) {
  std::vector<ChunkId> ids;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(ids, ManifestPart(reader, part));
    return {};
  }));
  return ids;
}

// Every part up to the file's end has a row: without one, its content is not known to be zeros.
Result<std::vector<ChunkId>> SealedFile::ManifestPart(catalog::Reader& reader, uint64_t part) {
  VELAFS_ASSIGN(std::optional<std::vector<ChunkId>> ids, reader.ManifestPart(layer_, ino_, part));
  if (ids) return std::move(*ids);
  return Corrupt("inode " + std::to_string(ino_.value) + " lacks part " + std::to_string(part) +
                 " of its manifest");
}

Result<SealedFile::PartPtr> SealedFile::PartAt(uint64_t part) {
  {
    ReaderLock lock(lock_);
    if (auto found = parts_.find(part); found != parts_.end()) return found->second;
  }
  VELAFS_ASSIGN(PartPtr loaded, LoadPart(part));
  WriterLock lock(lock_);
  return parts_.try_emplace(part, std::move(loaded)).first->second;
}

Result<SealedFile::PartPtr> SealedFile::LoadPart(uint64_t part) {
  auto loaded = std::make_shared<Part>();
  loaded->number = part;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<ChunkId> ids, ManifestPart(reader, part));
    loaded->chunks.reserve(ids.size());
    for (const ChunkId& id : ids) {
      if (id.IsZeros()) {
        loaded->chunks.emplace_back();
        continue;
      }
      VELAFS_ASSIGN(const std::optional<ChunkLocation> location, reader.Chunk(id));
      if (!location) {
        return Corrupt("inode " + std::to_string(ino_.value) + " needs chunk " + id.ToHex() +
                       ", which the catalog does not have");
      }
      loaded->chunks.push_back({id, *location});
    }
    return {};
  }));
  return loaded;
}

}  // namespace velafs::layer
