#include "velafs/layer/file_sealer.h"

#include <algorithm>
#include <span>
#include <utility>

namespace velafs::layer {
namespace {

constexpr uint8_t kWholeChunk = 0xff;

Status SealStopped() { return Refused("sealing was stopped"); }

}  // namespace

FileSealer::FileSealer(LayerContent content, const catalog::InodeRow& row, SealSink& sink)
    : content_(std::move(content)),
      ino_(row.ino),
      size_bytes_(row.size_bytes),
      inherits_(content_.inherited_bytes() > 0),
      sink_(sink) {}

Status FileSealer::Seal(const std::function<bool()>& go_on) {
  for (uint64_t part = 0; part * catalog::kPartBytes < size_bytes_; ++part) {
    if (!go_on()) return SealStopped();
    const uint64_t begin = part * catalog::kPartBytes;
    const ByteRange range = ByteRange{begin, catalog::kPartBytes}.Before(size_bytes_);
    VELAFS_ASSIGN(std::optional<catalog::ManifestPartRow> row, WithoutData(range));
    if (!row) {
      VELAFS_ASSIGN(row, SealPart(range, go_on));
    }
    VELAFS_TRY(sink_.PutManifest(ino_, part, *std::move(row)));
  }
  return {};
}

Result<std::optional<catalog::ManifestPartRow>> FileSealer::WithoutData(ByteRange part) const {
  using Row = std::optional<catalog::ManifestPartRow>;
  const uint64_t pages = PagesUpTo(part.length_bytes);
  VELAFS_ASSIGN(const PageMap::Run run, content_.RunAt(PageNumber::At(part.offset_bytes), pages));
  if (run.pages < pages) return Row();
  catalog::ManifestPartRow row;
  if (!run.held) return Row(std::move(row));
  VELAFS_ASSIGN(const bool is_hole, IsHole(part));
  if (!is_hole) return Row();
  if (inherits_) row.chunks.resize(1);  // an empty row says that the layer holds nothing
  return Row(std::move(row));
}

Result<bool> FileSealer::IsHole(ByteRange range) const {
  VELAFS_ASSIGN(const PageFile::Extent extent, content_.ExtentAt(range));
  return !extent.is_data && extent.length_bytes >= range.length_bytes;
}

Result<catalog::ManifestPartRow> FileSealer::SealPart(ByteRange part,
                                                      const std::function<bool()>& go_on) {
  catalog::ManifestPartRow row;
  for (uint64_t at = part.offset_bytes; at < part.End(); at += kChunkBytes) {
    if (!go_on()) return SealStopped();
    VELAFS_ASSIGN(const SealedFile::Held held,
                  SealChunk(ByteRange{at, kChunkBytes}.Before(part.End())));
    row.chunks.push_back(held.chunk);
    row.pages.push_back(held.pages);
  }
  Shorten(&row);
  return row;
}

Result<SealedFile::Held> FileSealer::SealChunk(ByteRange chunk) {
  const uint64_t begin = chunk.offset_bytes;
  SealedFile::Held held;
  VELAFS_ASSIGN(held.pages, PagesIn(PageNumber::At(begin), PagesUpTo(chunk.length_bytes)));
  if (held.pages == 0) return held;
  if (content_.sealed()) {
    VELAFS_ASSIGN(const SealedFile::Held before, content_.sealed()->HeldIn(begin / kChunkBytes));
    if (before.pages == held.pages) return before;
  }
  if (held.pages == kWholeChunk && !content_.sealed()) {
    VELAFS_ASSIGN(const bool is_hole, IsHole(chunk));
    if (is_hole) return held;
  }
  VELAFS_ASSIGN(held.chunk, StorePages(chunk, held.pages));
  return held;
}

Result<ChunkId> FileSealer::StorePages(ByteRange chunk, uint8_t held) {
  buffer_.clear();
  for (uint64_t page = 0; page < PagesUpTo(chunk.length_bytes); ++page) {
    if (((held >> page) & 1) == 0) continue;
    const uint64_t offset = chunk.offset_bytes + page * kPageBytes;
    const size_t length = std::min(kPageBytes, chunk.End() - offset);
    const size_t filled = buffer_.size();
    buffer_.resize(filled + length);
    VELAFS_TRY(content_.Read(offset, std::span(buffer_).subspan(filled)));
  }
  stored_bytes_ += buffer_.size();
  return sink_.Store(buffer_);
}

Result<uint8_t> FileSealer::PagesIn(PageNumber first, uint64_t pages) const {
  unsigned held = 0;
  for (uint64_t page = 0; page < pages;) {
    VELAFS_ASSIGN(const PageMap::Run run, content_.RunAt(first + page, pages - page));
    if (run.held) held |= ((1u << run.pages) - 1) << page;
    page += run.pages;
  }
  return held == (1u << pages) - 1 ? kWholeChunk : static_cast<uint8_t>(held);
}

void FileSealer::Shorten(catalog::ManifestPartRow* row) const {
  const auto all = [row](uint8_t pages) {
    return std::ranges::all_of(row->pages, [pages](uint8_t held) { return held == pages; });
  };
  const bool is_zeros = std::ranges::all_of(row->chunks, &ChunkId::IsZeros);
  if (is_zeros && all(inherits_ ? 0 : kWholeChunk)) {
    *row = {};
  } else if (all(kWholeChunk)) {
    row->pages.clear();
  }
}

}  // namespace velafs::layer
