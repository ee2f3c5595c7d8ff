// How chunks are stored: plain, or compressed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "velafs/base/chunk_location.h"
#include "velafs/base/status.h"

namespace velafs::chunk {

// The compression of new chunks. Each chunk names its own codec: a store may hold several.
struct Compression {
  int zstd_level = 0;  // 1 .. 19; 0: none

  bool operator==(const Compression&) const = default;
};

// "none", "zstd" or "zstd:LEVEL". Fails with kUsage.
Result<Compression> ParseCompression(std::string_view text);
std::string ToString(const Compression& compression);

// Compresses the content. Returns nothing if that saves less than a sixteenth: then the content is
// stored plain. Thread-safe.
std::vector<std::byte> Compress(std::span<const std::byte> content, const Compression& compression);

// Decompresses a payload of codec zstd into `into`, which has the content's length. Corrupt if the
// payload is damaged or of another length. Thread-safe.
Status Decompress(std::span<const std::byte> payload, std::span<std::byte> into);

}  // namespace velafs::chunk
