#include "velafs/layer/layer_content.h"

#include <algorithm>

namespace velafs::layer {

Result<PageMap::Run> LayerContent::RunAt(PageNumber page, uint64_t limit) const {
  if (!sealed_) return page_file_->RunAt(page, limit);
  VELAFS_ASSIGN(const PageMap::Run run, sealed_->RunAt(page, limit));
  return run.held || !page_file_ ? run : page_file_->RunAt(page, run.pages);
}

Result<bool> LayerContent::IsSealed(uint64_t offset_bytes) const {
  if (!sealed_) return false;
  if (!page_file_) return true;
  VELAFS_ASSIGN(const PageMap::Run run, sealed_->RunAt(PageNumber::At(offset_bytes), 1));
  return run.held;
}

Status LayerContent::Read(uint64_t offset_bytes, std::span<std::byte> into) const {
  while (sealed_ && page_file_ && !into.empty()) {
    const PageNumber page = PageNumber::At(offset_bytes);
    const uint64_t pages = PageNumber::From(offset_bytes + into.size()) - page;
    VELAFS_ASSIGN(const PageMap::Run run, sealed_->RunAt(page, pages));
    const uint64_t run_end = (page + run.pages).OffsetBytes();
    const auto piece = into.first(std::min<uint64_t>(run_end - offset_bytes, into.size()));
    VELAFS_TRY(run.held ? sealed_->Read(offset_bytes, piece)
                        : page_file_->Read(offset_bytes, piece));
    offset_bytes += piece.size();
    into = into.subspan(piece.size());
  }
  if (into.empty()) return {};
  return sealed_ ? sealed_->Read(offset_bytes, into) : page_file_->Read(offset_bytes, into);
}

Result<PageFile::Extent> LayerContent::ExtentAt(ByteRange range) const {
  VELAFS_ASSIGN(const bool is_sealed, IsSealed(range.offset_bytes));
  return is_sealed ? sealed_->ExtentAt(range) : page_file_->ExtentAt(range);
}

}  // namespace velafs::layer
