// The content of one file in a sealed layer: chunks, found through its manifest.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "velafs/base/byte_range.h"
#include "velafs/base/chunk_location.h"
#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/layer/page_file.h"
#include "velafs/layer/page_map.h"

namespace velafs::layer {

// Thread-safe. Parts of the manifest are read from the catalog at first use, and stay in memory.
class SealedFile {
 public:
  // `inherited_bytes`: how much of the file below is visible; 0 if all of the file is here.
  SealedFile(catalog::Catalog& catalog, chunk::PackReader& packs, LayerId layer, InodeNumber ino,
             uint64_t inherited_bytes)
      : catalog_(catalog),
        packs_(packs),
        layer_(layer),
        ino_(ino),
        inherited_bytes_(inherited_bytes) {}

  uint64_t inherited_bytes() const { return inherited_bytes_; }
  // As PageFile::RunAt, for a page within the file.
  Result<PageMap::Run> RunAt(PageNumber page, uint64_t limit);
  // Fills `into` from held pages. `into` must end within the file; past the chunks of a part it
  // gets zeros. Verifies every chunk: Corrupt if one is damaged or missing, or its part of the
  // manifest is missing.
  Status Read(uint64_t offset_bytes, std::span<std::byte> into);
  Result<PageFile::Extent> ExtentAt(ByteRange range);
  // Which of a chunk's pages are held, lowest bit first, and the chunk they are in.
  struct Held {
    uint8_t pages = 0;
    ChunkId chunk;
  };
  Result<Held> HeldIn(uint64_t chunk);
  // Reads the chunks of a part from the catalog, in order; none for a part of zeros. Only for a
  // file that inherits nothing.
  Result<std::vector<ChunkId>> ChunkIds(uint64_t part);

 private:
  struct Chunk {
    ChunkId id;  // zeros: a chunk of zeros, stored nowhere
    ChunkLocation location;
    bool operator==(const Chunk&) const = default;
  };
  struct Part {
    uint64_t number = 0;
    std::vector<Chunk> chunks;
    std::vector<uint8_t> pages;  // of each chunk those that are held; empty: all
    // One bit for each chunk that has been read and found sound.
    std::array<std::atomic<uint64_t>, catalog::kChunksPerPart / 64> verified = {};
  };
  using PartPtr = std::shared_ptr<Part>;

  uint8_t PagesOf(const Part& part, uint64_t index) const;
  Result<PartPtr> PartAt(uint64_t part);
  Result<PartPtr> LoadPart(uint64_t part);
  Result<catalog::ManifestPartRow> ManifestPart(catalog::Reader& reader, uint64_t part);
  // Reads from one chunk, from `offset_bytes` on.
  Status ReadFrom(Part& part, uint64_t offset_bytes, std::span<std::byte> into);
  Status ReadChunk(Part& part, uint64_t index, uint64_t in_chunk, std::span<std::byte> into);

  catalog::Catalog& catalog_;
  chunk::PackReader& packs_;
  const LayerId layer_;
  const InodeNumber ino_;
  const uint64_t inherited_bytes_;
  SharedMutex lock_;
  std::map<uint64_t, PartPtr> parts_ GUARDED_BY(lock_);
};

}  // namespace velafs::layer
