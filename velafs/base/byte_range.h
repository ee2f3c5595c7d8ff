// A stretch of a file or of a chunk.
#pragma once

#include <algorithm>
#include <cstdint>

namespace velafs {

// So many bytes from an offset on. `End` is right only if it is no more than 64 bits hold: ask
// IsWithin first if others gave the numbers.
struct ByteRange {
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;

  // From `begin_bytes` to before `end_bytes`, which is not less.
  static constexpr ByteRange Between(uint64_t begin_bytes, uint64_t end_bytes) {
    return {begin_bytes, end_bytes - begin_bytes};
  }

  constexpr uint64_t End() const { return offset_bytes + length_bytes; }
  // Whether all of it lies before `size_bytes`. True of an empty range that begins there.
  constexpr bool IsWithin(uint64_t size_bytes) const {
    return offset_bytes <= size_bytes && length_bytes <= size_bytes - offset_bytes;
  }
  // The part of it that lies before `end_bytes`.
  constexpr ByteRange Before(uint64_t end_bytes) const {
    const uint64_t most = end_bytes - std::min(end_bytes, offset_bytes);
    return {offset_bytes, std::min(length_bytes, most)};
  }
  bool operator==(const ByteRange&) const = default;
};

}  // namespace velafs
