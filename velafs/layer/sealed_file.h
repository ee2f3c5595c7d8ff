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

#include "velafs/base/chunk_location.h"
#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/layer/page_file.h"

namespace velafs::layer {

// Thread-safe. Parts of the manifest are read from the catalog when first touched, and then kept.
class SealedFile {
 public:
  SealedFile(catalog::Catalog& catalog, chunk::PackReader& packs, LayerId layer, InodeNumber ino)
      : catalog_(catalog), packs_(packs), layer_(layer), ino_(ino) {}

  // Fills `into`, which ends within the file; zeros past the chunks of a part. Every chunk is
  // verified: Corrupt when one is damaged, or it or its part of the manifest is not to be had.
  Status Read(uint64_t offset_bytes, std::span<std::byte> into);
  Result<PageFile::Extent> ExtentAt(uint64_t offset_bytes, uint64_t limit_bytes);
  // The chunks of a part, in order; none for a part of zeros. Always from the catalog.
  Result<std::vector<ChunkId>> ChunkIds(uint64_t part);

 private:
  struct Chunk {
    ChunkId id;  // zeros: a chunk of zeros, stored nowhere
    ChunkLocation location;
  };
  struct Part {
    uint64_t number = 0;
    std::vector<Chunk> chunks;
    // One bit for each chunk that has been read and found sound.
    std::array<std::atomic<uint64_t>, catalog::kChunksPerPart / 64> verified = {};
  };
  using PartPtr = std::shared_ptr<Part>;

  Result<PartPtr> PartAt(uint64_t part);
  Result<PartPtr> LoadPart(uint64_t part);
  Result<std::vector<ChunkId>> ManifestPart(catalog::Reader& reader, uint64_t part);
  // From one stored chunk; `into` ends within it. ReadStored finds it when it has moved.
  Status ReadStored(const PartPtr& part, uint64_t index, uint64_t in_chunk,
                    std::span<std::byte> into);
  Status ReadChunk(Part& part, uint64_t index, uint64_t in_chunk, std::span<std::byte> into);

  catalog::Catalog& catalog_;
  chunk::PackReader& packs_;
  const LayerId layer_;
  const InodeNumber ino_;
  SharedMutex lock_;
  std::map<uint64_t, PartPtr> parts_ GUARDED_BY(lock_);
};

}  // namespace velafs::layer
