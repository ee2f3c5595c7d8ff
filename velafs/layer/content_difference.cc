#include "velafs/layer/content_difference.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace velafs::layer {
namespace {

constexpr uint64_t kPagesPerRead = 32;

uint64_t PagesUpTo(uint64_t end_bytes) { return (end_bytes + kPageBytes - 1) / kPageBytes; }

// The chunks of one file's manifest, a part at a time.
class ChunkIds {
 public:
  // The chunk that holds `page`; zeros where there is none.
  Result<ChunkId> At(SealedFile& file, PageNumber page) {
    const uint64_t chunk = page / kPagesPerChunk;
    const uint64_t part = chunk / catalog::kChunksPerPart;
    if (!is_loaded_ || part != part_) {
      VELAFS_ASSIGN(ids_, file.ChunkIds(part));
      part_ = part;
      is_loaded_ = true;
    }
    const uint64_t index = chunk % catalog::kChunksPerPart;
    return index < ids_.size() ? ids_[index] : ChunkId();
  }

 private:
  bool is_loaded_ = false;
  uint64_t part_ = 0;
  std::vector<ChunkId> ids_;
};

// One thread. The two files have `size_bytes` in common.
class Comparison {
 public:
  Comparison(const FileContent& a, const FileContent& b) : a_(a), b_(b) {}

  Status Run(PageNumber end) {
    for (PageNumber page = 0; page < end;) {
      VELAFS_ASSIGN(const auto of_a, a_.OriginOf(page, end - page));
      VELAFS_ASSIGN(const auto of_b, b_.OriginOf(page, end - page));
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

  Status CompareChunks(PageNumber page, PageNumber end) {
    while (page < end) {
      const PageNumber next = std::min(end, (page / kPagesPerChunk + 1) * kPagesPerChunk);
      VELAFS_ASSIGN(const ChunkId in_a, ids_of_a_.At(*a_.chunks(), page));
      VELAFS_ASSIGN(const ChunkId in_b, ids_of_b_.At(*b_.chunks(), page));
      if (in_a != in_b) VELAFS_TRY(ComparePages(page, next));
      page = next;
    }
    return {};
  }

  Status ComparePages(PageNumber page, PageNumber end) {
    const uint64_t size = std::min(a_.size_bytes(), b_.size_bytes());
    while (page < end) {
      const PageNumber next = std::min(end, page + kPagesPerRead);
      const uint64_t begin_bytes = page * kPageBytes;
      const uint64_t length = std::min(next * kPageBytes, size) - begin_bytes;
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
  ChunkIds ids_of_a_;
  ChunkIds ids_of_b_;
  std::array<std::byte, kPagesPerRead * kPageBytes> from_a_;
  std::array<std::byte, kPagesPerRead * kPageBytes> from_b_;
};

}  // namespace

Result<ContentDifference> CompareContents(const FileContent* a, const FileContent* b) {
  const uint64_t size_a = a == nullptr ? 0 : a->size_bytes();
  const uint64_t size_b = b == nullptr ? 0 : b->size_bytes();
  const uint64_t longer = std::max(size_a, size_b);
  // The page in which the shorter one ends is another in the longer one, whatever it holds.
  const PageNumber common =
      size_a == size_b ? PagesUpTo(size_a) : std::min(size_a, size_b) / kPageBytes;
  ContentDifference found;
  if (common > 0) {
    const auto comparison = std::make_unique<Comparison>(*a, *b);
    VELAFS_TRY(comparison->Run(common));
    found = comparison->found;
  }
  found.pages += PagesUpTo(longer) - common;
  found.bytes += longer - std::min(common * kPageBytes, longer);
  return found;
}

}  // namespace velafs::layer
