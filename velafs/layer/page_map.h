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
  // Reads the map from a map file's content. Corrupt, with the reason, if it is damaged or another
  // file's map.
  static Result<PageMap> Decode(LayerId layer, InodeNumber ino, std::span<const std::byte> content);
  // Reads the map from `file`. Skips holes: the map of a huge file may have little in it.
  static Result<PageMap> Load(LayerId layer, InodeNumber ino, os::File& file);

  // The largest size of the map file for a file with so many inherited bytes.
  static uint64_t MaxFileBytes(uint64_t inherited_bytes);

  // How much of the file below is visible. A page that begins here or later is always the layer's
  // own. A page that begins before is the layer's own if its bit is set, and inherited otherwise.
  uint64_t inherited_bytes() const { return inherited_bytes_; }
  // Hides the file below from `size_bytes` on, for good.
  void HideFrom(uint64_t size_bytes);

  struct Run {
    bool held;
    uint64_t pages;
  };
  // Whether `page` is held, and how many pages from it on are held (or not held) like it: at most
  // `limit`, which is > 0.
  Run RunAt(PageNumber page, uint64_t limit) const;
  // Marks the pages as held.
  void ClaimPages(PageNumber first, uint64_t count);

  // Returns the blocks that have changed since the last call. The first call returns the header at
  // least.
  std::vector<DirtyBlock> TakeDirty();
  // These blocks were not written: the next TakeDirty returns them again.
  void PutBack(const std::vector<DirtyBlock>& blocks);

 private:
  static constexpr size_t kWordsPerBlock = 63;
  using Words = std::array<uint64_t, kWordsPerBlock>;

  static Result<PageMap> DecodeHeader(LayerId layer, InodeNumber ino,
                                      std::span<const std::byte> content);
  // Sets the bits that `content` has. It begins with block `first` of the bits.
  Status DecodeBits(uint64_t first, std::span<const std::byte> content);
  uint64_t WordAt(uint64_t word) const;
  Words& BlockFor(uint64_t block);
  // Pages below this one may be inherited.
  PageNumber InheritedEnd() const { return PageNumber::From(inherited_bytes_); }
  bool BitOf(PageNumber page) const;
  // For pages of one block. Returns whether one of them was not held yet.
  bool ClaimInBlock(PageNumber page, PageNumber end);
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
