// Sealing what a layer holds of one file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "velafs/base/byte_range.h"
#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/rows.h"
#include "velafs/layer/layer_content.h"
#include "velafs/layer/seal_sink.h"

namespace velafs::layer {

// One thread.
class FileSealer {
 public:
  // `row`: the one the layer is to have of the file.
  FileSealer(LayerContent content, const catalog::InodeRow& row, SealSink& sink);

  // Once: stores the file's chunks and manifest. Refused if `go_on` was false.
  Status Seal(const std::function<bool()>& go_on);
  uint64_t stored_bytes() const { return stored_bytes_; }

 private:
  // The row of a part of which the layer holds nothing, or all of it as one hole; of others none.
  Result<std::optional<catalog::ManifestPartRow>> WithoutData(ByteRange part) const;
  Result<catalog::ManifestPartRow> SealPart(ByteRange part, const std::function<bool()>& go_on);
  Result<SealedFile::Held> SealChunk(ByteRange chunk);
  // Whether all of it is one hole.
  Result<bool> IsHole(ByteRange range) const;
  // Stores these of the chunk's pages.
  Result<ChunkId> StorePages(ByteRange chunk, uint8_t held);
  // All, if the layer holds as many as there are.
  Result<uint8_t> PagesIn(PageNumber first, uint64_t pages) const;
  // Brings the row of a part that holds nothing, or all, or nothing but zeros to the form that
  // FORMAT.md gives it.
  void Shorten(catalog::ManifestPartRow* row) const;

  const LayerContent content_;
  const InodeNumber ino_;
  const uint64_t size_bytes_;
  const bool inherits_;
  SealSink& sink_;
  std::vector<std::byte> buffer_;
  uint64_t stored_bytes_ = 0;
};

}  // namespace velafs::layer
