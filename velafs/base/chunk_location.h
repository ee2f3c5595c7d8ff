// Where a stored chunk's bytes are. Shared by `chunk`, which makes them, and `catalog`, which keeps
// them.
#pragma once

#include <cstdint>

#include "velafs/base/ids.h"

namespace velafs {

enum class Codec : uint8_t { kNone = 0, kZstd = 1 };  // values are the on-disk format

struct ChunkLocation {
  PackId pack;
  uint64_t offset_bytes = 0;  // of the payload in the pack file
  uint32_t stored_bytes = 0;  // of the payload as stored
  uint32_t raw_bytes = 0;     // of the content; 1 .. kChunkBytes
  Codec codec = Codec::kNone;

  bool operator==(const ChunkLocation&) const = default;
};

}  // namespace velafs
