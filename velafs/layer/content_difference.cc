#include "velafs/layer/content_difference.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace velafs::layer {
namespace {

constexpr uint64_t kPagesPerRead = 32;
constexpr uint64_t kPagesPerPart = catalog::kPartBytes / kPageBytes;

// The chunks of one file's manifest, a part at a time.
class ChunkIds {
 public:
  Status Load(SealedFile& file, uint64_t part) {
    if (is_loaded_ && part == part_) return {};
    VELAFS_ASSIGN(ids_, file.ChunkIds(part));
    part_ = part;
    is_loaded_ = true;
    return {};
  }
  // The chunk of the loaded part that holds `page`; zeros where there is none.
  ChunkId At(PageNumber page) const {
    const uint64_t index = page.value / kPagesPerChunk % catalog::kChunksPerPart;
    return index < ids_.size() ? ids_[index] : ChunkId();
  }
  bool operator==(const ChunkIds& other) const { return ids_ == other.ids_; }

 private:
  bool is_loaded_ = false;
  uint64_t part_ = 0;
  std::vector<ChunkId> ids_;
};

// One thread. The two files have `size_bytes` in common.
class Comparison {
 public:
  Comparison(const FileContent& a, const FileContent& b, const std::function<bool()>& go_on)
      : a_(a), b_(b), go_on_(go_on) {}

  Status Run(PageNumber end) {
    for (PageNumber page; page < end;) {
      if (!go_on_()) return Refused("comparing was stopped");
      const uint64_t most = std::min(end, page.NextGroup(kPagesPerPart)) - page;
      VELAFS_ASSIGN(const auto of_a, a_.OriginOf(page, most));
      VELAFS_ASSIGN(const auto of_b, b_.OriginOf(page, most));
      const uint64_t pages = std::min(of_a.pages, of_b.pages);
      if (!Same(of_a.origin, of_b.origin)) {
        const bool chunks = of_a.origin.kind == FileContent::Origin::Kind::kChunks &&
                            of_b.origin.kind == FileContent::Origin::Kind::kChunks;
        VELAFS_TRY(chunks ? CompareChunks(page, page + pages) : ComparePages(page, page + pages));
      }
      page += pages;
    }
    return {};
  }

  ContentDifference found;

 private:
  // A page file and a manifest are one inode's in one layer.
  bool Same(const FileContent::Origin& a, const FileContent::Origin& b) const {
    return a == b && (a_.ino() == b_.ino() || a.kind == FileContent::Origin::Kind::kZeros);
  }

  // Of pages of one part.
  Status CompareChunks(PageNumber page, PageNumber end) {
    VELAFS_TRY(ids_of_a_.Load(*a_.chunks(), page.value / kPagesPerPart));
    VELAFS_TRY(ids_of_b_.Load(*b_.chunks(), page.value / kPagesPerPart));
    if (ids_of_a_ == ids_of_b_) return {};
    while (page < end) {
      const PageNumber next = std::min(end, page.NextGroup(kPagesPerChunk));
      if (ids_of_a_.At(page) != ids_of_b_.At(page)) VELAFS_TRY(ComparePages(page, next));
      page = next;
    }
    return {};
  }

  // Reads nothing where both have a hole.
  Status ComparePages(PageNumber page, PageNumber end) {
    while (page < end) {
      const ByteRange rest = {page.OffsetBytes(), (end - page) * kPageBytes};
      VELAFS_ASSIGN(const auto in_a, a_.ExtentAt(rest));
      VELAFS_ASSIGN(const auto in_b, b_.ExtentAt(rest));
      const uint64_t bytes = std::min(in_a.length_bytes, in_b.length_bytes);
      const PageNumber next = page + std::max<uint64_t>(bytes / kPageBytes, 1);
      const bool is_hole = !in_a.is_data && !in_b.is_data && bytes >= kPageBytes;
      if (!is_hole) VELAFS_TRY(ReadPages(page, next));
      page = next;
    }
    return {};
  }

  Status ReadPages(PageNumber page, PageNumber end) {
    const uint64_t size = std::min(a_.size_bytes(), b_.size_bytes());
    while (page < end) {
      const PageNumber next = std::min(end, page + kPagesPerRead);
      const uint64_t begin_bytes = page.OffsetBytes();
      const uint64_t length = std::min(next.OffsetBytes(), size) - begin_bytes;
      VELAFS_TRY(a_.Read(begin_bytes, std::span(from_a_).first(length)));
      VELAFS_TRY(b_.Read(begin_bytes, std::span(from_b_).first(length)));
      for (uint64_t at = 0; at < length; at += kPageBytes) {
        const uint64_t bytes = std::min(kPageBytes, length - at);
        if (std::memcmp(&from_a_[at], &from_b_[at], bytes) == 0) continue;
        ++found.pages;
        found.bytes += bytes;
      }
      page = next;
    }
    return {};
  }

  const FileContent& a_;
  const FileContent& b_;
  const std::function<bool()>& go_on_;
  ChunkIds ids_of_a_;
  ChunkIds ids_of_b_;
  std::array<std::byte, kPagesPerRead * kPageBytes> from_a_;
  std::array<std::byte, kPagesPerRead * kPageBytes> from_b_;
};

}  // namespace

Result<ContentDifference> CompareContents(const FileContent* a, const FileContent* b,
                                          const std::function<bool()>& go_on) {
  const uint64_t size_a = a == nullptr ? 0 : a->size_bytes();
  const uint64_t size_b = b == nullptr ? 0 : b->size_bytes();
  const uint64_t longer = std::max(size_a, size_b);
  // The page in which the shorter one ends is another in the longer one, whatever it holds.
  const PageNumber common =
      size_a == size_b ? PageNumber::From(size_a) : PageNumber::At(std::min(size_a, size_b));
  ContentDifference found;
  if (common > PageNumber()) {
    const auto comparison = std::make_unique<Comparison>(*a, *b, go_on);
    VELAFS_TRY(comparison->Run(common));
    found = comparison->found;
  }
  found.pages += PageNumber::From(longer) - common;
  found.bytes += longer - std::min(common.OffsetBytes(), longer);
  return found;
}

}  // namespace velafs::layer
