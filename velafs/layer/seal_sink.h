// Where a sealing stores what a layer holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::layer {

// For one part of a sealing: see LayerSealer::SealPart.
class SealSink {
 public:
  virtual ~SealSink() = default;
  // Stores a chunk of 1 .. kChunkBytes bytes; zeros for one of zeros.
  virtual Result<ChunkId> Store(std::span<const std::byte> content) = 0;
  // Stores a part of a file's manifest. It is of the layer LayerSealer::draft until the commit.
  virtual Status PutManifest(InodeNumber ino, uint64_t part, catalog::ManifestPartRow row) = 0;
  // Once, after all of those. The content that was stored is durable on return.
  virtual Status Finish() = 0;
  // After that, in the transaction that commits the part: publishes the chunks. `layer`: the one
  // that is sealed.
  virtual Status Publish(catalog::Writer& writer, LayerId layer) = 0;
};

}  // namespace velafs::layer
