#include "velafs/layer/sealed_file.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>

namespace velafs::layer {
namespace {

constexpr uint8_t kAllPages = 0xff;
constexpr uint64_t kPagesPerPart = catalog::kPartBytes / kPageBytes;

// Of the chunk in its part.
uint64_t IndexOf(uint64_t offset_bytes) { return offset_bytes % catalog::kPartBytes / kChunkBytes; }

}  // namespace

uint8_t SealedFile::PagesOf(const Part& part, uint64_t index) const {
  if (part.chunks.empty() && inherited_bytes_ > 0) return 0;
  return index < part.pages.size() ? part.pages[index] : kAllPages;
}

Result<PageMap::Run> SealedFile::RunAt(PageNumber page, uint64_t limit) {
  if (inherited_bytes_ == 0) return PageMap::Run{true, limit};
  const PageNumber inherited_end = PageNumber::From(inherited_bytes_);
  if (page >= inherited_end) return PageMap::Run{true, limit};
  const PageNumber end = std::min(page + limit, inherited_end);
  bool held = false;
  PageNumber next = page;
  while (next < end) {
    VELAFS_ASSIGN(const PartPtr part, PartAt(next.value / kPagesPerPart));
    const uint8_t pages = PagesOf(*part, next.value % kPagesPerPart / kPagesPerChunk);
    const bool is_held = ((pages >> (next.value % kPagesPerChunk)) & 1) != 0;
    if (next > page && is_held != held) return PageMap::Run{held, next - page};
    held = is_held;
    // All that is known to be the same.
    const bool is_uniform = pages == 0 || pages == kAllPages;
    const uint64_t unit = part->pages.empty() ? kPagesPerPart : is_uniform ? kPagesPerChunk : 1;
    next = next.NextGroup(unit);
  }
  // What follows the inherited pages is held.
  return PageMap::Run{held, held ? limit : end - page};
}

Result<SealedFile::Held> SealedFile::HeldIn(uint64_t chunk) {
  VELAFS_ASSIGN(const PartPtr part, PartAt(chunk / catalog::kChunksPerPart));
  const uint64_t index = chunk % catalog::kChunksPerPart;
  Held held{.pages = PagesOf(*part, index), .chunk = {}};
  if (index < part->chunks.size()) held.chunk = part->chunks[index].id;
  return held;
}

Status SealedFile::Read(uint64_t offset_bytes, std::span<std::byte> into) {
  while (!into.empty()) {
    const uint64_t number = offset_bytes / catalog::kPartBytes;
    VELAFS_ASSIGN(const PartPtr part, PartAt(number));
    const auto piece =
        into.first(std::min<size_t>(into.size(), kChunkBytes - offset_bytes % kChunkBytes));
    Status read = ReadFrom(*part, offset_bytes, piece);
    if (read.code() == Code::kCorrupt || read.error_number() == ENOENT) {
      // Since the part was loaded, the chunk may have moved to another pack, or others have taken
      // its place.
      VELAFS_ASSIGN(const PartPtr now, LoadPart(number));
      if (now->chunks == part->chunks) return read;
      {
        WriterLock lock(lock_);
        parts_[number] = now;
      }
      read = ReadFrom(*now, offset_bytes, piece);
    }
    VELAFS_TRY(std::move(read));
    into = into.subspan(piece.size());
    offset_bytes += piece.size();
  }
  return {};
}

Status SealedFile::ReadFrom(Part& part, uint64_t offset_bytes, std::span<std::byte> into) {
  const uint64_t index = IndexOf(offset_bytes);
  // Only the pages that are held are in the chunk.
  const auto page = static_cast<unsigned>(offset_bytes / kPageBytes % kPagesPerChunk);
  const auto before = static_cast<uint8_t>(PagesOf(part, index) & ((1u << page) - 1));
  const uint64_t in_chunk =
      static_cast<uint64_t>(std::popcount(before)) * kPageBytes + offset_bytes % kPageBytes;
  // Of a chunk of zeros, none.
  const uint64_t stored = index < part.chunks.size() ? part.chunks[index].location.raw_bytes : 0;
  const size_t from_chunk =
      stored > in_chunk ? std::min<size_t>(into.size(), stored - in_chunk) : 0;
  if (from_chunk > 0) VELAFS_TRY(ReadChunk(part, index, in_chunk, into.first(from_chunk)));
  std::memset(into.data() + from_chunk, 0, into.size() - from_chunk);
  return {};
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

Result<PageFile::Extent> SealedFile::ExtentAt(ByteRange range) {
  bool is_data = false;
  uint64_t at = range.offset_bytes;
  while (at < range.End()) {
    VELAFS_ASSIGN(const PartPtr part, PartAt(at / catalog::kPartBytes));
    const uint64_t index = IndexOf(at);
    const bool is_past_all = index >= part->chunks.size();
    const bool has_data = !is_past_all && !part->chunks[index].id.IsZeros();
    if (at > range.offset_bytes && has_data != is_data) break;
    is_data = has_data;
    const uint64_t unit = is_past_all ? catalog::kPartBytes : kChunkBytes;
    at = (at / unit + 1) * unit;
  }
  return PageFile::Extent{is_data, range.Before(at).length_bytes};
}

Result<std::vector<ChunkId>> SealedFile::ChunkIds(uint64_t part) {
  catalog::ManifestPartRow row;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(row, ManifestPart(reader, part));
    return {};
  }));
  return std::move(row.chunks);
}

// Every part up to the end that the file had when it was sealed has a row: without one, its content
// is not known to be zeros. A branch may show the file longer than that, with zeros there: a crash
// cut the layer's page file short, and a row in a layer above says how long it was.
Result<catalog::ManifestPartRow> SealedFile::ManifestPart(catalog::Reader& reader, uint64_t part) {
  VELAFS_ASSIGN(std::optional<catalog::ManifestPartRow> row,
                reader.ManifestPart(layer_, ino_, part));
  if (row) return *std::move(row);
  VELAFS_ASSIGN(const std::optional<catalog::InodeRow> inode, reader.Inode(layer_, ino_));
  const bool is_import = !inode || !inode->inherited_bytes;
  if (!is_import && part * catalog::kPartBytes >= inode->size_bytes) {
    return catalog::ManifestPartRow();
  }
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
    VELAFS_ASSIGN(catalog::ManifestPartRow row, ManifestPart(reader, part));
    loaded->pages = std::move(row.pages);
    loaded->chunks.reserve(row.chunks.size());
    for (const ChunkId& id : row.chunks) {
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
