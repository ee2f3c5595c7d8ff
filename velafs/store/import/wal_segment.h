// One segment of WAL, read page by page.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::store {

// A value of the machine's own byte order, as PostgreSQL writes it.
template <typename T>
T LoadAs(const std::byte* from) {
  T value;
  std::copy_n(from, sizeof value, reinterpret_cast<std::byte*>(&value));
  return value;
}

// Where a segment is read.
struct WalFile {
  os::UniqueFd fd;
  uint64_t begin_bytes = 0;  // of the segment in the file
  uint64_t size_bytes = 0;
};

// The name of the segment that has the byte at `position`.
std::string WalSegmentName(uint32_t timeline, uint64_t position, uint64_t segment_bytes);

// One thread.
class WalSegment {
 public:
  struct PageHeader {
    bool continues_record = false;  // it begins with the rest of a record of the page before
    uint32_t rest_bytes = 0;        // of that record, from here on
    uint32_t size_bytes = 0;        // of the header
  };

  // Nothing if the file is not the segment of that name: it is too short, or has other content,
  // like a recycled one.
  static Result<std::optional<WalSegment>> Open(const std::string& name, WalFile file);

  const std::string& name() const { return name_; }
  uint64_t size_bytes() const { return size_bytes_; }
  uint32_t page_bytes() const { return page_bytes_; }
  std::string NextName() const;

  // For the page at `offset`; nothing if the WAL ends before that page.
  Result<std::optional<PageHeader>> HeaderAt(uint64_t offset);
  // The bytes from `offset` to the end of its page, `available` of them. They are good until the
  // next call.
  Result<const std::byte*> Bytes(uint64_t offset, size_t* available);

 private:
  WalSegment(std::string name, WalFile file) : name_(std::move(name)), file_(std::move(file)) {}
  // The first `length` bytes from `offset` on; null when the file ends before.
  Result<const std::byte*> Load(uint64_t offset, size_t length);

  std::string name_;
  WalFile file_;
  uint64_t begin_ = 0;  // its first byte's position in the WAL
  uint64_t size_bytes_ = 0;
  uint32_t page_bytes_ = 0;
  std::vector<std::byte> window_;
  uint64_t window_begin_ = 0;
  size_t window_size_ = 0;
};

}  // namespace velafs::store
