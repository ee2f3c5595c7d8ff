// The content of one regular file as one branch sees it: the branch's own page file, if there is
// one, over the content that lower layers have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "velafs/base/byte_range.h"
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
  // For an inode that is made now.
  static FileContent Empty(InodeNumber ino, LayerId born_layer);
  // Loads a file's content from the layers of a chain. `inode`: its row in the chain. Corrupt if a
  // page file or map is damaged or lost. Valid only if nothing has moved since the inode was read:
  // see LoadUnmoved.
  static Result<FileContent> Load(const Chain& chain, const catalog::InodeInChain& inode);

  uint64_t size_bytes() const { return size_bytes_; }
  // The page file whose times are the file's; null if the inode's row has them.
  PageFile* TimesFrom(LayerId row_layer) const;

  // Fills `into`, which must end within the file.
  Status Read(uint64_t offset_bytes, std::span<std::byte> into) const;
  // The first byte of data, or of a hole, from `offset_bytes` on; ENXIO at or past the end.
  Result<uint64_t> Seek(uint64_t offset_bytes, bool for_data) const;
  // A stretch that is all data or all hole: `range`, which begins within the file, begins with it.
  // It may end before the data or hole does.
  Result<PageFile::Extent> ExtentAt(ByteRange range) const {
    return ExtentFrom(0, range.Before(size_bytes_));
  }

  // Where whole pages of the file are read from. Pages of two files with equal origins are equal;
  // pages with unequal ones may be.
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
  // The origin of `page`, and how many pages from it on have the same one: at most `limit`, > 0.
  Result<OriginRun> OriginOf(PageNumber page, uint64_t limit) const;
  InodeNumber ino() const { return ino_; }
  // The manifest that pages with origin kChunks are read from.
  SealedFile* chunks() const { return layers_.back().sealed().get(); }

  // Changes go to the page file in `head`, which they make if there is none.
  Status Write(Layer& head, uint64_t offset_bytes, std::span<const std::byte> data);
  Status Truncate(Layer& head, uint64_t size_bytes);
  Status Allocate(Layer& head, ByteRange range, bool keep_size);
  // Makes the range read as zeros, as far as the file goes. Without `keep_size` the file grows to
  // the end of the range.
  Status Zero(Layer& head, ByteRange range, bool keep_size);
  // Makes the page file of a file that was just made in `head`.
  Status MakePageFile(Layer& head);

  // How much more space the page file in `head` takes after a write of the whole range.
  Result<uint64_t> NewBytes(const Layer& head, ByteRange range) const;
  // The same for Zero: only the pages at the ends of the range may be written.
  Result<uint64_t> NewBytesOfZeros(const Layer& head, ByteRange range, bool keep_size) const;
  // What Write writes for data of this range, which is not empty: perhaps some pages behind it,
  // too.
  ByteRange RangeOfWrite(const Layer& head, ByteRange range) const;

  // The page files of `layer` and the layers above it, which are this branch's alone.
  std::vector<std::shared_ptr<PageFile>> FilesFrom(LayerId layer) const;
  // The size for a row in `head`. As long as the map of the page file there is not durable, a crash
  // may take both, and the file is what it was before: then the row must have the size of before,
  // or it would show content that was truncated meanwhile.
  uint64_t SizeForRow(const Layer& head) const;
  // The page file in `head`; null if there is none.
  PageFile* OwnFile(const Layer& head) const;
  // The page files that may hold changes which are not durable, lowest layer first.
  std::vector<std::shared_ptr<PageFile>> DirtyFiles() const;

 private:
  // `Source` i is layers_[i]; the last, layers_.size(), is the nothing below them all.
  Status ReadFrom(size_t source, uint64_t limit_bytes, uint64_t offset_bytes,
                  std::span<std::byte> into) const;
  // Reads from below the first layer, within its inherited bytes. Uses the index, so that depth
  // costs nothing.
  Status ReadBelow(uint64_t offset_bytes, std::span<std::byte> into) const;
  void LayersChanged();
  Result<PageFile::Extent> ExtentFrom(size_t source, ByteRange range) const;
  Result<PageFile*> MakeOwnFile(Layer& head);
  // The size of the file without the page file in the head, which is not durable yet.
  static Result<uint64_t> SizeWithoutOwn(const Chain& chain, const catalog::InodeInChain& inode);
  // Writes the data together with the file's content around it, up to the ends of `whole`.
  Status WriteWith(PageFile& own, uint64_t offset_bytes, std::span<const std::byte> data,
                   ByteRange whole) const;
  // After a failed change up to `end_bytes`: truncates what the file grew by.
  void TakeBackGrowth(PageFile& own, uint64_t end_bytes) const;

  InodeNumber ino_;
  LayerId born_layer_;
  uint64_t size_bytes_ = 0;
  uint64_t size_before_own_ = 0;      // when the page file in the head was made
  std::vector<LayerContent> layers_;  // nearest first
  std::shared_ptr<FlatIndex> index_;  // of layers_; null where they are few
};

}  // namespace velafs::layer
