// How the content of chunks is stored: as it is, or compressed.
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

// What is done to new chunks. Which codec a chunk has stands with the chunk: a store may hold both.
struct Compression {
  int zstd_level = 0;  // 1 .. 19; 0: none

  bool operator==(const Compression&) const = default;
};

// "none", "zstd" or "zstd:LEVEL". Fails with kUsage.
Result<Compression> ParseCompression(std::string_view text);
std::string ToString(const Compression& compression);

// The content compressed, where that saves a sixteenth of it and more; else empty: to be stored as
// it is. Thread-safe.
std::vector<std::byte> Compress(std::span<const std::byte> content, const Compression& compression);

// Fills `into`, of the content's length, from a payload of codec zstd. Corrupt when that is not
// what it holds. Thread-safe.
Status Decompress(std::span<const std::byte> payload, std::span<std::byte> into);

}  // namespace velafs::chunk
