#include "velafs/layer/sealed_file.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace velafs::layer {

Status SealedFile::Read(uint64_t offset_bytes, std::span<std::byte> into) {
  while (!into.empty()) {
    VELAFS_ASSIGN(const std::optional<ChunkLocation> chunk, ChunkAt(offset_bytes));
    const uint64_t in_chunk = offset_bytes % kChunkBytes;
    const size_t length = std::min<size_t>(into.size(), kChunkBytes - in_chunk);
    const auto piece = into.first(length);
    const uint64_t stored = chunk ? chunk->raw_bytes : 0;
    const size_t from_chunk = stored > in_chunk ? std::min<size_t>(length, stored - in_chunk) : 0;
    if (from_chunk > 0) {
      VELAFS_TRY(ReadChunk(*chunk, offset_bytes, piece.first(from_chunk)));
    }
    std::memset(piece.data() + from_chunk, 0, length - from_chunk);
    into = into.subspan(length);
    offset_bytes += length;
  }
  return {};
}

Status SealedFile::ReadChunk(const ChunkLocation& chunk, uint64_t offset_bytes,
                             std::span<std::byte> into) {
  const uint64_t in_chunk = offset_bytes % kChunkBytes;
  Status read = packs_.Read(chunk, in_chunk, into);
  if (read.code() != Code::kCorrupt) return read;
  // It may have moved to another pack since its place was looked up.
  {
    WriterLock lock(lock_);
    parts_.erase(offset_bytes / catalog::kPartBytes);
  }
  VELAFS_ASSIGN(const std::optional<ChunkLocation> now, ChunkAt(offset_bytes));
  return now && *now != chunk ? packs_.Read(*now, in_chunk, into) : read;
}

Result<PageFile::Extent> SealedFile::ExtentAt(uint64_t offset_bytes, uint64_t limit_bytes) {
  VELAFS_ASSIGN(const std::optional<ChunkLocation> chunk, ChunkAt(offset_bytes));
  const uint64_t rest_of_chunk = kChunkBytes - offset_bytes % kChunkBytes;
  return PageFile::Extent{chunk.has_value(), std::min(rest_of_chunk, limit_bytes)};
}

Result<std::vector<ChunkId>> SealedFile::ChunkIds(uint64_t part) {
  std::optional<std::vector<ChunkId>> ids;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(ids, reader.ManifestPart(layer_, ino_, part));
    return {};
  }));
  return std::move(ids).value_or(std::vector<ChunkId>());
}

Result<std::optional<ChunkLocation>> SealedFile::ChunkAt(uint64_t offset_bytes) {
  VELAFS_ASSIGN(const std::shared_ptr<const Part> part, PartAt(offset_bytes / catalog::kPartBytes));
  const uint64_t index = offset_bytes % catalog::kPartBytes / kChunkBytes;
  return index < part->size() ? (*part)[index] : std::nullopt;
}

Result<std::shared_ptr<const SealedFile::Part>> SealedFile::PartAt(uint64_t part) {
  {
    ReaderLock lock(lock_);
    if (auto found = parts_.find(part); found != parts_.end()) return found->second;
  }
  VELAFS_ASSIGN(std::shared_ptr<const Part> loaded, LoadPart(part));
  WriterLock lock(lock_);
  return parts_.try_emplace(part, std::move(loaded)).first->second;
}

Result<std::shared_ptr<const SealedFile::Part>> SealedFile::LoadPart(uint64_t part) {
  auto loaded = std::make_shared<Part>();
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto chunks, reader.ManifestPart(layer_, ino_, part));
    if (!chunks) return {};
    loaded->reserve(chunks->size());
    for (const ChunkId& id : *chunks) {
      if (id.IsZeros()) {
        loaded->emplace_back();
        continue;
      }
      VELAFS_ASSIGN(const std::optional<ChunkLocation> location, reader.Chunk(id));
      if (!location) {
        return Corrupt("inode " + std::to_string(ino_.value) + " needs chunk " + id.ToHex() +
                       ", which the catalog does not have");
      }
      loaded->push_back(location);
    }
    return {};
  }));
  return std::shared_ptr<const Part>(std::move(loaded));
}

}  // namespace velafs::layer
