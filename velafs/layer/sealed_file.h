// The content of one file in a sealed layer: chunks, found through its manifest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
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

  // Fills `into`; zeros where the manifest has no chunk. Corrupt when a chunk is not to be had.
  Status Read(uint64_t offset_bytes, std::span<std::byte> into);
  Result<PageFile::Extent> ExtentAt(uint64_t offset_bytes, uint64_t limit_bytes);
  // The chunks of a part, in order; empty where the manifest has none. Always from the catalog.
  Result<std::vector<ChunkId>> ChunkIds(uint64_t part);

 private:
  // Where each chunk of a part is; nothing for a chunk of zeros.
  using Part = std::vector<std::optional<ChunkLocation>>;

  Result<std::shared_ptr<const Part>> PartAt(uint64_t part);
  Result<std::shared_ptr<const Part>> LoadPart(uint64_t part);
  Result<std::optional<ChunkLocation>> ChunkAt(uint64_t offset_bytes);
  Status ReadChunk(const ChunkLocation& chunk, uint64_t offset_bytes, std::span<std::byte> into);

  catalog::Catalog& catalog_;
  chunk::PackReader& packs_;
  const LayerId layer_;
  const InodeNumber ino_;
  SharedMutex lock_;
  std::map<uint64_t, std::shared_ptr<const Part>> parts_ GUARDED_BY(lock_);
};

}  // namespace velafs::layer
