// The page map: which pages of a file its layer holds, and how much of the file is inherited.
//
// On disk (`layers/<layer>/<ino>.map`): 512-byte blocks, each written whole and each with its own
// CRC-32, so that a block is either as it was or as it is, as long as the disk writes a sector at a
// time. Block 0 is the header, block 1+i the bits of pages [i * kPagesPerBlock, (i+1) *
// kPagesPerBlock). catalog/FORMAT.md has the bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/os/storage.h"

namespace velafs::layer {

// Externally synchronised.
class PageMap {
 public:
  static constexpr size_t kBlockBytes = 512;
  using Block = std::array<std::byte, kBlockBytes>;
  // A block and where in the map file it goes.
  struct DirtyBlock {
    uint64_t offset_bytes;
    Block content;
  };

  // A map of no pages. `inherited_bytes`: how many bytes of the file below are still visible.
  PageMap(LayerId layer, InodeNumber ino, uint64_t inherited_bytes);
  // The map in a file's content; Corrupt, saying what is wrong, when it is not this file's sound
  // map.
  static Result<PageMap> Decode(LayerId layer, InodeNumber ino, std::span<const std::byte> content);
  // The map in `file`, of which holes are not read: a map of a huge file may have little in it.
  static Result<PageMap> Load(LayerId layer, InodeNumber ino, os::File& file);

  // How large the map file of a file with so many inherited bytes can become.
  static uint64_t MaxFileBytes(uint64_t inherited_bytes);

  // How much of the file below is visible: a page that begins here or later is always the layer's
  // own, one that begins before is when its bit says so, and else is inherited.
  uint64_t inherited_bytes() const { return inherited_bytes_; }
  // Hides what is below from `size_bytes` on, for good.
  void HideFrom(uint64_t size_bytes);

  struct Run {
    bool held;
    uint64_t pages;
  };
  // Whether `page` is held, and how many pages from it on, at most `limit`, are so too. limit > 0.
  Run RunAt(PageNumber page, uint64_t limit) const;
  void Hold(PageNumber first, uint64_t count);

  // Takes what has changed since the last call (at first: the header at least).
  std::vector<DirtyBlock> TakeDirty();
  // What was taken did not get anywhere, and is to be taken again.
  void PutBack(const std::vector<DirtyBlock>& blocks);

 private:
  static constexpr size_t kWordsPerBlock = 63;
  using Words = std::array<uint64_t, kWordsPerBlock>;

  static Result<PageMap> DecodeHeader(LayerId layer, InodeNumber ino,
                                      std::span<const std::byte> content);
  // Takes over the bits in `content`, which begins with block `first` of the bits.
  Status DecodeBits(uint64_t first, std::span<const std::byte> content);
  uint64_t WordAt(uint64_t word) const;
  Words& BlockFor(uint64_t block);
  // Pages below this one may be inherited.
  PageNumber InheritedEnd() const { return PagesUpTo(inherited_bytes_); }
  bool BitOf(PageNumber page) const;
  // Of pages in one block: whether one of them was not held yet.
  bool HoldInBlock(PageNumber page, PageNumber end);
  Block EncodeHeader() const;
  Block EncodeBits(uint64_t block) const;

  LayerId layer_;
  InodeNumber ino_;
  uint64_t inherited_bytes_;
  // Bit p % 64 of word p / 64: page p is held. By blocks; null: none of a block's pages is held.
  std::vector<std::unique_ptr<Words>> blocks_;
  bool header_dirty_ = true;
  std::set<uint64_t> dirty_blocks_;
};

}  // namespace velafs::layer
