#include "velafs/chunk/pack_format.h"

#include <boost/crc.hpp>
#include <cstring>
#include <string>

namespace velafs::chunk {
namespace {

constexpr uint64_t kPackMagic = 0x314b434150414c56;  // "VLAPACK1"
constexpr uint32_t kRecordMagic = 0x4b484356;        // "VCHK"

// Offsets in both headers.
constexpr size_t kMagicAt = 0;
constexpr size_t kCrcAt = 60;
// In a pack's header.
constexpr size_t kVersionAt = 8;
constexpr size_t kPackNumberAt = 16;
// In a record's header.
constexpr size_t kCodecAt = 4;
constexpr size_t kRawBytesAt = 8;
constexpr size_t kStoredBytesAt = 12;
constexpr size_t kHashAt = 16;

template <typename Int>
void Put(HeaderBytes& bytes, size_t at, Int value) {
  for (size_t i = 0; i < sizeof value; ++i)
    bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
}

template <typename Int>
Int Get(const HeaderBytes& bytes, size_t at) {
  Int value = 0;
  for (size_t i = 0; i < sizeof value; ++i) {
    value |= static_cast<Int>(static_cast<Int>(bytes[at + i]) << (8 * i));
  }
  return value;
}

uint32_t CrcOf(const HeaderBytes& bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), kCrcAt);
  return crc.checksum();
}

bool IsLength(uint32_t bytes) { return bytes >= 1 && bytes <= kChunkBytes; }

}  // namespace

HeaderBytes EncodePackHeader(PackId pack) {
  HeaderBytes bytes{};
  Put(bytes, kMagicAt, kPackMagic);
  Put(bytes, kVersionAt, kPackFormatVersion);
  Put(bytes, kPackNumberAt, pack.value);
  Put(bytes, kCrcAt, CrcOf(bytes));
  return bytes;
}

HeaderBytes EncodeRecordHeader(const RecordHeader& header) {
  HeaderBytes bytes{};
  Put(bytes, kMagicAt, kRecordMagic);
  bytes[kCodecAt] = static_cast<std::byte>(header.codec);
  Put(bytes, kRawBytesAt, header.raw_bytes);
  Put(bytes, kStoredBytesAt, header.stored_bytes);
  std::memcpy(&bytes[kHashAt], header.id.bytes.data(), header.id.bytes.size());
  Put(bytes, kCrcAt, CrcOf(bytes));
  return bytes;
}

Status CheckPackHeader(const HeaderBytes& bytes, PackId pack) {
  if (Get<uint64_t>(bytes, kMagicAt) != kPackMagic) return Corrupt("it is not a pack");
  if (Get<uint32_t>(bytes, kCrcAt) != CrcOf(bytes)) {
    return Corrupt("the checksum of its header does not match");
  }
  const uint32_t version = Get<uint32_t>(bytes, kVersionAt);
  if (version != kPackFormatVersion) {
    return Corrupt("its format version " + std::to_string(version) + " is not known");
  }
  const uint64_t number = Get<uint64_t>(bytes, kPackNumberAt);
  if (number != pack.value) return Corrupt("it says it is pack " + std::to_string(number));
  return {};
}

Result<RecordHeader> DecodeRecordHeader(const HeaderBytes& bytes) {
  if (Get<uint32_t>(bytes, kMagicAt) != kRecordMagic) return Corrupt("no chunk begins there");
  if (Get<uint32_t>(bytes, kCrcAt) != CrcOf(bytes)) {
    return Corrupt("the checksum of the chunk's header does not match");
  }
  VELAFS_TRY(CheckCodec(static_cast<uint8_t>(bytes[kCodecAt])));
  RecordHeader header;
  header.codec = static_cast<Codec>(bytes[kCodecAt]);
  header.raw_bytes = Get<uint32_t>(bytes, kRawBytesAt);
  header.stored_bytes = Get<uint32_t>(bytes, kStoredBytesAt);
  std::memcpy(header.id.bytes.data(), &bytes[kHashAt], header.id.bytes.size());
  if (!IsLength(header.raw_bytes) || !IsLength(header.stored_bytes) ||
      (header.codec == Codec::kNone && header.raw_bytes != header.stored_bytes)) {
    return Corrupt("the chunk's length is out of range");
  }
  return header;
}

Status CheckCodec(uint8_t codec) {
  if (codec <= static_cast<uint8_t>(Codec::kZstd)) return {};
  return Corrupt("codec " + std::to_string(codec) + " is not one this version can read");
}

}  // namespace velafs::chunk
