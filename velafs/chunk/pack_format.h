// The headers of a pack's file and records as bytes: FORMAT.md beside this file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "velafs/base/chunk_location.h"
#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/chunk/packs.h"

namespace velafs::chunk {

inline constexpr uint32_t kPackFormatVersion = 1;
inline constexpr size_t kHeaderBytes = kRecordHeaderBytes;  // of the file's header too

using HeaderBytes = std::array<std::byte, kHeaderBytes>;

struct RecordHeader {
  ChunkId id;
  Codec codec = Codec::kNone;
  uint32_t raw_bytes = 0;
  uint32_t stored_bytes = 0;
};

HeaderBytes EncodePackHeader(PackId pack);
HeaderBytes EncodeRecordHeader(const RecordHeader& header);

// Corrupt, with the fault but not its place, unless the bytes are the header of pack `pack`.
Status CheckPackHeader(const HeaderBytes& bytes, PackId pack);
// Corrupt likewise. The lengths of a decoded header are within 1 .. kChunkBytes, and this version
// reads its codec.
Result<RecordHeader> DecodeRecordHeader(const HeaderBytes& bytes);
// Corrupt, in words, if this version does not read the codec.
Status CheckCodec(uint8_t codec);

}  // namespace velafs::chunk
