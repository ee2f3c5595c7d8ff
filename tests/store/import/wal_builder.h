// WAL segments with real records, as PostgreSQL writes them.
#pragma once

#include <boost/crc.hpp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

namespace velafs::test {

inline uint32_t WalChecksum(const std::string& record) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(record.data() + 24, record.size() - 24);
  crc.process_bytes(record.data(), 20);
  return crc.checksum();
}

// A record with that main data.
inline std::string WalRecord(uint8_t manager, uint8_t info, const std::string& data) {
  std::string record(24, '\0');
  if (data.size() < 256) {
    record += '\xff';
    record += static_cast<char>(data.size());
  } else {
    const auto size = static_cast<uint32_t>(data.size());
    record += '\xfe';
    record.append(reinterpret_cast<const char*>(&size), sizeof size);
  }
  record += data;
  const auto length = static_cast<uint32_t>(record.size());
  std::memcpy(record.data(), &length, sizeof length);
  record[16] = static_cast<char>(info);
  record[17] = static_cast<char>(manager);
  const uint32_t crc = WalChecksum(record);
  std::memcpy(record.data() + 20, &crc, sizeof crc);
  return record;
}

inline std::string TablespaceData(uint32_t oid, const std::string& location) {
  return std::string(reinterpret_cast<const char*>(&oid), sizeof oid) + location + '\0';
}
inline std::string CreateTablespaceRecord(uint32_t oid, const std::string& location) {
  return WalRecord(5, 0, TablespaceData(oid, location));
}
// One that means nothing here, of `bytes` in all.
inline std::string OtherRecord(size_t bytes) {
  return WalRecord(10, 0, std::string(bytes - 24 - (bytes < 24 + 2 + 256 ? 2 : 5), 'x'));
}

// Segments of 1 MiB with pages of 8 KiB, from number `first` on.
class WalBuilder {
 public:
  static constexpr uint64_t kSegmentBytes = 1 << 20;
  static constexpr uint64_t kPageBytes = 8192;

  explicit WalBuilder(uint64_t first) : at_(first * kSegmentBytes) {}

  // Returns where it begins.
  uint64_t Add(const std::string& record) {
    while (at_ % 8 != 0) Put('\0', 0);
    if (at_ % kPageBytes == 0) PutHeader(0);
    const uint64_t begin = at_;
    for (size_t i = 0; i < record.size(); ++i) Put(record[i], record.size() - i);
    return begin;
  }
  // Records until `left` bytes are left in the page.
  void FillPage(uint64_t left) {
    if (at_ % kPageBytes == 0) PutHeader(0);
    while (at_ % 8 != 0) Put('\0', 0);
    const uint64_t here = kPageBytes - at_ % kPageBytes;
    Add(OtherRecord(here - left));
  }
  void FillSegment(uint64_t left) {
    while (at_ % kSegmentBytes < kSegmentBytes - kPageBytes) {
      FillPage(0);
      PutHeader(0);
    }
    FillPage(left);
  }

  // By name; each as long as a segment is.
  std::map<std::string, std::string> Segments() const {
    std::map<std::string, std::string> segments;
    for (const auto& [number, bytes] : segments_) segments[Name(number)] = bytes;
    return segments;
  }
  static std::string Name(uint64_t number) {
    char name[25];
    std::snprintf(name, sizeof name, "%08X%08X%08X", 1u,
                  static_cast<unsigned>(number * kSegmentBytes >> 32),
                  static_cast<unsigned>(number % (0x100000000 / kSegmentBytes)));
    return name;
  }

 private:
  void PutHeader(uint64_t rest) {
    if (at_ % kPageBytes != 0) return;
    const bool is_long = at_ % kSegmentBytes == 0;
    std::string header(is_long ? 40 : 24, '\0');
    const uint16_t magic = 0xD110;
    const auto info = static_cast<uint16_t>((rest > 0 ? 1 : 0) | (is_long ? 2 : 0));
    const auto rest_bytes = static_cast<uint32_t>(rest);
    const uint32_t segment_bytes = kSegmentBytes;
    const uint32_t page_bytes = kPageBytes;
    std::memcpy(header.data(), &magic, 2);
    std::memcpy(header.data() + 2, &info, 2);
    std::memcpy(header.data() + 8, &at_, 8);
    std::memcpy(header.data() + 16, &rest_bytes, 4);
    if (is_long) std::memcpy(header.data() + 32, &segment_bytes, 4);
    if (is_long) std::memcpy(header.data() + 36, &page_bytes, 4);
    for (const char byte : header) PutRaw(byte);
  }
  void Put(char byte, uint64_t rest) {
    PutHeader(rest);
    PutRaw(byte);
  }
  void PutRaw(char byte) {
    std::string& segment = segments_[at_ / kSegmentBytes];
    segment.resize(kSegmentBytes);
    segment[at_ % kSegmentBytes] = byte;
    ++at_;
  }

  uint64_t at_;
  std::map<uint64_t, std::string> segments_;
};

}  // namespace velafs::test
