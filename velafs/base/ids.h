// Distinct types for the numbers that must never be mixed up, and the two sizes everything is cut
// by.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

namespace velafs {

// The unit of copy-on-write: PostgreSQL's BLCKSZ.
inline constexpr uint64_t kPageBytes = 8 * 1024;
// The unit of dedupe and compression.
inline constexpr uint64_t kChunkBytes = 64 * 1024;
inline constexpr uint64_t kPagesPerChunk = kChunkBytes / kPageBytes;
// The largest file: 64 TiB, twice the largest table of PostgreSQL.
inline constexpr uint64_t kMaxFileBytes = uint64_t{1} << 46;

template <typename Tag>
struct Id {
  uint64_t value = 0;  // 0 means "none" for every kind of id

  constexpr Id() = default;
  constexpr explicit Id(uint64_t v) : value(v) {}
  explicit operator bool() const { return value != 0; }
  auto operator<=>(const Id&) const = default;
};

using BranchId = Id<struct BranchTag>;      // catalog row of a branch; never reused
using BookmarkId = Id<struct BookmarkTag>;  // catalog row of a bookmark; never reused
using InstanceId = Id<struct InstanceTag>;  // one life of a branch under the mount; never reused
using LayerId = Id<struct LayerTag>;        // never reused
using InodeNumber = Id<struct InodeTag>;    // unique in the store; never reused
using PackId = Id<struct PackTag>;          // number of a pack file; never reused

// A FUSE node id of 64 bits holds an instance and an inode number, which limits both. At
// ten clones a second the instances last for 20 months, at 500 new files a second the inodes for
// two years; then the store reports that they are used up.
inline constexpr int kInodeBits = 35;
inline constexpr uint64_t kMaxInode = (uint64_t{1} << kInodeBits) - 1;
inline constexpr uint64_t kMaxInstance = (uint64_t{1} << (64 - kInodeBits)) - 1;

// The largest id of a kind that may be given, or read from a catalog.
template <typename T>
inline constexpr uint64_t kLargestId = INT64_MAX;
template <>
inline constexpr uint64_t kLargestId<InodeNumber> = kMaxInode;
template <>
inline constexpr uint64_t kLargestId<InstanceId> = kMaxInstance;

// How many pages the bytes before `end_bytes` take, the last one perhaps in part.
constexpr uint64_t PagesUpTo(uint64_t end_bytes) {
  return (end_bytes + kPageBytes - 1) / kPageBytes;
}

// A page's position in its file. Page 0 is a page like any other. Two positions differ by a count
// of pages, which is a plain number.
struct PageNumber {
  uint64_t value = 0;

  constexpr PageNumber() = default;
  constexpr explicit PageNumber(uint64_t v) : value(v) {}
  // The page that has the byte at `offset_bytes`.
  static constexpr PageNumber At(uint64_t offset_bytes) {
    return PageNumber(offset_bytes / kPageBytes);
  }
  // The first page that begins at `end_bytes` or later.
  static constexpr PageNumber From(uint64_t end_bytes) { return PageNumber(PagesUpTo(end_bytes)); }

  constexpr uint64_t OffsetBytes() const { return value * kPageBytes; }
  // Where the next group of so many pages begins: of a chunk, for example.
  constexpr PageNumber NextGroup(uint64_t pages) const {
    return PageNumber((value / pages + 1) * pages);
  }

  auto operator<=>(const PageNumber&) const = default;
  constexpr PageNumber& operator++() {
    ++value;
    return *this;
  }
  constexpr PageNumber& operator+=(uint64_t pages) {
    value += pages;
    return *this;
  }
  friend constexpr PageNumber operator+(PageNumber page, uint64_t pages) { return page += pages; }
  friend constexpr PageNumber operator-(PageNumber page, uint64_t pages) {
    return PageNumber(page.value - pages);
  }
  friend constexpr uint64_t operator-(PageNumber end, PageNumber first) {
    return end.value - first.value;
  }
};

// SHA-256 of a chunk's raw content: its name. All zero bytes: "a chunk of zeros, stored nowhere".
struct ChunkId {
  std::array<uint8_t, 32> bytes{};

  auto operator<=>(const ChunkId&) const = default;
  bool IsZeros() const { return *this == ChunkId{}; }
  std::string ToHex() const;
};

}  // namespace velafs

template <typename Tag>
struct std::hash<velafs::Id<Tag>> {
  size_t operator()(velafs::Id<Tag> id) const noexcept { return std::hash<uint64_t>{}(id.value); }
};

template <>
struct std::hash<velafs::PageNumber> {
  size_t operator()(velafs::PageNumber page) const noexcept {
    return std::hash<uint64_t>{}(page.value);
  }
};

template <>
struct std::hash<velafs::ChunkId> {
  size_t operator()(const velafs::ChunkId& id) const noexcept {
    size_t word;
    std::memcpy(&word, id.bytes.data(), sizeof word);  // already uniformly distributed
    return word;
  }
};
