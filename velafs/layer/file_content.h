// The content of one regular file as one branch sees it: the branch's own page file, where there is
// one, over what lower layers have of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/rows.h"
#include "velafs/layer/chain.h"
#include "velafs/layer/flat_index.h"
#include "velafs/layer/layer.h"
#include "velafs/layer/layer_content.h"

namespace velafs::layer {

// Externally synchronised: changes alone, reads with other reads.
class FileContent {
 public:
  // Of an inode that is made now.
  static FileContent Empty(InodeNumber ino, LayerId born_layer);
  // What is nearest for the file among a branch's chain. `inode`: what the chain says of it.
  // Corrupt if a page file or map is damaged or has been lost. Valid only if nothing has moved
  // since the inode was read: see LoadUnmoved.
  static Result<FileContent> Load(const Chain& chain, const catalog::InodeInChain& inode);

  uint64_t size_bytes() const { return size_bytes_; }
  // The page file whose times are the file's; null when the inode's row has them.
  PageFile* TimesFrom(LayerId row_layer) const;

  // Fills `into`, which must end within the file.
  Status Read(uint64_t offset_bytes, std::span<std::byte> into) const;
  // The first byte of data, or of a hole, from `offset_bytes` on; ENXIO at or past the end.
  Result<uint64_t> Seek(uint64_t offset_bytes, bool for_data) const;
  // How many bytes from `offset_bytes`, at most `limit_bytes`, are all data or all hole, as far as
  // they are known to be: there may be more. Within the file.
  Result<PageFile::Extent> ExtentAt(uint64_t offset_bytes, uint64_t limit_bytes) const {
    return ExtentFrom(0, offset_bytes, std::min(offset_bytes + limit_bytes, size_bytes_));
  }

  // What whole pages of the file are read from. Of two files, pages with equal origins are equal;
  // those of unequal ones may be.
  struct Origin {
    enum class Kind { kZeros, kPages, kChunks, kMixed };  // a mixed page equals none
    Kind kind = Kind::kZeros;
    LayerId layer = {};  // of the page file or the manifest
    bool operator==(const Origin& other) const {
      return kind != Kind::kMixed && kind == other.kind && layer == other.layer;
    }
  };
  struct OriginRun {
    Origin origin;
    uint64_t pages;
  };
  // Of `page`, and for how many pages from it on, at most `limit`, it is the same. limit > 0.
  Result<OriginRun> OriginOf(PageNumber page, uint64_t limit) const;
  InodeNumber ino() const { return ino_; }
  // What pages whose origin is chunks are read from.
  SealedFile* chunks() const { return layers_.back().sealed().get(); }

  // Changes go to the page file in `head`, which is made when there is none yet.
  Status Write(Layer& head, uint64_t offset_bytes, std::span<const std::byte> data);
  Status Truncate(Layer& head, uint64_t size_bytes);
  Status Allocate(Layer& head, uint64_t offset_bytes, uint64_t length_bytes, bool keep_size);
  // The range reads as zeros, as far as the file goes; with `keep_size` false the file grows to
  // hold it.
  Status Zero(Layer& head, uint64_t offset_bytes, uint64_t length_bytes, bool keep_size);
  // The page file of a file that was just made in `head`.
  Status Begin(Layer& head);

  // How much more space the page file in `head` takes once all of the range is written.
  Result<uint64_t> NewBytes(const Layer& head, uint64_t offset_bytes, uint64_t length_bytes) const;
  // The same for Zero: only the pages at the ends of the range may be written.
  Result<uint64_t> NewBytesOfZeros(const Layer& head, uint64_t offset_bytes, uint64_t length_bytes,
                                   bool keep_size) const;
  // How far Write goes for a write up to `end_bytes`: it takes along what is to come next.
  uint64_t EndOfWrite(const Layer& head, uint64_t offset_bytes, uint64_t end_bytes) const;

  // The page files of `layer` and above, which is to say of this branch alone.
  std::vector<std::shared_ptr<PageFile>> FilesFrom(LayerId layer) const;
  // The size that a row in `head` is to have. A crash may take the page file there as long as its
  // map is not durable, and the file is then what it was before: of that size, and not of one that
  // would show what was truncated meanwhile.
  uint64_t SizeForRow(const Layer& head) const;
  // The page file in `head`; null when there is none.
  PageFile* OwnFile(const Layer& head) const;
  // The page files that may hold changes which are not durable, lowest layer first.
  std::vector<std::shared_ptr<PageFile>> DirtyFiles() const;

 private:
  // `Source` i is layers_[i]; the last, layers_.size(), is the nothing below them all.
  Status ReadFrom(size_t source, uint64_t limit_bytes, uint64_t offset_bytes,
                  std::span<std::byte> into) const;
  // What lies below the first layer, within its inherited bytes. By the index, so that depth costs
  // nothing.
  Status ReadBelow(uint64_t offset_bytes, std::span<std::byte> into) const;
  void LayersChanged();
  Result<PageFile::Extent> ExtentFrom(size_t source, uint64_t offset_bytes,
                                      uint64_t end_bytes) const;
  Result<PageFile*> MakeOwnFile(Layer& head);
  // How large the file is if the page file in the head, which is not durable yet, gets lost.
  static Result<uint64_t> SizeWithoutOwn(const Chain& chain, const catalog::InodeInChain& inode);
  // Writes the data together with what the file has before and after it, from `begin_whole` to
  // `end_whole`.
  Status WriteWith(PageFile& own, uint64_t offset_bytes, std::span<const std::byte> data,
                   uint64_t begin_whole, uint64_t end_whole) const;
  // After a change up to `end_bytes` that failed.
  void TakeBackGrowth(PageFile& own, uint64_t end_bytes) const;

  InodeNumber ino_;
  LayerId born_layer_;
  uint64_t size_bytes_ = 0;
  uint64_t size_before_own_ = 0;      // what it was when the page file in the head was made
  std::vector<LayerContent> layers_;  // nearest first
  std::shared_ptr<FlatIndex> index_;  // of layers_; null where they are few
};

}  // namespace velafs::layer
