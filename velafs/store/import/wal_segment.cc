#include "velafs/store/import/wal_segment.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdio>

namespace velafs::store {
namespace {

constexpr size_t kWindowBytes = 1024 * 1024;  // a multiple of every page size
constexpr uint32_t kShortHeaderBytes = 24;
constexpr uint32_t kLongHeaderBytes = 40;
constexpr uint16_t kContinuesRecord = 1;
constexpr uint16_t kLongHeader = 2;

// Where in a page header its fields are: XLogLongPageHeaderData.
constexpr size_t kPageInfoAt = 2;
constexpr size_t kPageAddressAt = 8;
constexpr size_t kRestBytesAt = 16;
constexpr size_t kSegmentBytesAt = 32;
constexpr size_t kPageBytesAt = 36;

uint32_t Hex(const std::string& digits) {
  uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

bool IsPowerOfTwo(uint32_t value, uint32_t least, uint32_t most) {
  return std::has_single_bit(value) && value >= least && value <= most;
}

}  // namespace

std::string WalSegmentName(uint32_t timeline, uint64_t position, uint64_t segment_bytes) {
  char name[25];
  std::snprintf(name, sizeof name, "%08X%08X%08X", timeline, static_cast<unsigned>(position >> 32),
                static_cast<unsigned>((position & 0xffffffff) / segment_bytes));
  return name;
}

Result<std::optional<WalSegment>> WalSegment::Open(const std::string& name, WalFile file) {
  WalSegment segment(name, std::move(file));
  VELAFS_ASSIGN(const std::byte* first, segment.Load(0, kLongHeaderBytes));
  if (first == nullptr || (LoadAs<uint16_t>(first + kPageInfoAt) & kLongHeader) == 0) {
    return std::optional<WalSegment>();
  }
  const auto size_bytes = LoadAs<uint32_t>(first + kSegmentBytesAt);
  segment.page_bytes_ = LoadAs<uint32_t>(first + kPageBytesAt);
  segment.size_bytes_ = size_bytes;
  if (!IsPowerOfTwo(size_bytes, 1u << 20, 1u << 30) ||
      !IsPowerOfTwo(segment.page_bytes_, 512, 1u << 16)) {
    return std::optional<WalSegment>();
  }
  segment.begin_ = (uint64_t{Hex(name.substr(8, 8))} << 32) +
                   uint64_t{Hex(name.substr(16, 8))} * segment.size_bytes_;
  return std::optional<WalSegment>(std::move(segment));
}

std::string WalSegment::NextName() const {
  return WalSegmentName(Hex(name_.substr(0, 8)), begin_ + size_bytes_, size_bytes_);
}

Result<std::optional<WalSegment::PageHeader>> WalSegment::HeaderAt(uint64_t offset) {
  const uint64_t page = offset - offset % page_bytes_;
  VELAFS_ASSIGN(const std::byte* bytes, Load(page, kLongHeaderBytes));
  if (bytes == nullptr || LoadAs<uint64_t>(bytes + kPageAddressAt) != begin_ + page) {
    return std::optional<PageHeader>();
  }
  const auto info = LoadAs<uint16_t>(bytes + kPageInfoAt);
  return std::optional<PageHeader>(
      {(info & kContinuesRecord) != 0, LoadAs<uint32_t>(bytes + kRestBytesAt),
       (info & kLongHeader) != 0 ? kLongHeaderBytes : kShortHeaderBytes});
}

Result<const std::byte*> WalSegment::Bytes(uint64_t offset, size_t* available) {
  *available = page_bytes_ - offset % page_bytes_;
  return Load(offset, *available);
}

Result<const std::byte*> WalSegment::Load(uint64_t offset, size_t length) {
  const bool is_loaded = offset >= window_begin_ && offset + length <= window_begin_ + window_size_;
  if (!is_loaded) {
    window_.resize(kWindowBytes);
    window_begin_ = offset - offset % kWindowBytes;
    window_size_ = 0;
    const uint64_t left = file_.size_bytes - std::min(file_.size_bytes, window_begin_);
    const size_t wanted = std::min<uint64_t>(kWindowBytes, left);
    while (window_size_ < wanted) {
      const ssize_t got =
          pread(file_.fd.get(), window_.data() + window_size_, wanted - window_size_,
                static_cast<off_t>(file_.begin_bytes + window_begin_ + window_size_));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return SystemError(errno, "cannot read WAL segment \"" + name_ + "\"");
      if (got == 0) break;
      window_size_ += static_cast<size_t>(got);
    }
  }
  if (offset + length > window_begin_ + window_size_) return static_cast<const std::byte*>(nullptr);
  return static_cast<const std::byte*>(window_.data() + (offset - window_begin_));
}

}  // namespace velafs::store
