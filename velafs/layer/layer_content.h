// The content that one layer has of one regular file: pages in a page file, or sealed in chunks, or
// both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "velafs/base/byte_range.h"
#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/layer/page_file.h"
#include "velafs/layer/sealed_file.h"

namespace velafs::layer {

// Thread-safe, and cheap to copy. Sealed content never changes. If the layer has a page file too,
// its pages came later, from a layer that was merged into this one.
class LayerContent {
 public:
  // At least one of the two is not null.
  LayerContent(LayerId layer, std::shared_ptr<SealedFile> sealed,
               std::shared_ptr<PageFile> page_file)
      : layer_(layer), sealed_(std::move(sealed)), page_file_(std::move(page_file)) {}

  LayerId layer_id() const { return layer_; }
  const std::shared_ptr<PageFile>& page_file() const { return page_file_; }  // may be null
  const std::shared_ptr<SealedFile>& sealed() const { return sealed_; }      // may be null
  // Whether all of the file is here, and in chunks.
  bool is_whole_manifest() const {
    return sealed_ && !page_file_ && sealed_->inherited_bytes() == 0;
  }

  // As those of PageFile.
  uint64_t inherited_bytes() const {
    return sealed_ ? sealed_->inherited_bytes() : page_file_->inherited_bytes();
  }
  Result<PageMap::Run> RunAt(PageNumber page, uint64_t limit) const;
  // Reads from pages that are held.
  Status Read(uint64_t offset_bytes, std::span<std::byte> into) const;
  // For a stretch within one run of held pages.
  Result<PageFile::Extent> ExtentAt(ByteRange range) const;

 private:
  Result<bool> IsSealed(uint64_t offset_bytes) const;

  LayerId layer_;
  std::shared_ptr<SealedFile> sealed_;
  std::shared_ptr<PageFile> page_file_;
};

}  // namespace velafs::layer
