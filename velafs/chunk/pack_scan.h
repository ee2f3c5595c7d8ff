// Reads a pack from end to end and tells all that is in it, damaged or not.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "velafs/base/chunk_location.h"
#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/os/storage.h"

namespace velafs::chunk {

// A part of a pack: its header, one record, or a stretch in which no record was found.
struct PackPiece {
  struct Record {
    ChunkId id;
    ChunkLocation location;
  };
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;
  std::optional<Record> record;
  Status sound;  // Corrupt, saying what is wrong but not where
};

// Calls `visit` for every piece, in order and without gaps, and for the header only when it is
// damaged. After a damaged header of a record it goes on at the next one it finds. Content is
// compared with its SHA-256. ENOENT when there is no such file; a failure of `visit` is passed on.
//
// Needs a few megabytes, whatever the pack's size.
Status ScanPack(os::Storage& storage, const std::string& directory, PackId pack,
                const std::function<Status(const PackPiece&)>& visit);

// Write anew what a pack's scan found damaged and what is known from elsewhere. Durable on return.
Status RewritePackHeader(os::Storage& storage, const std::string& directory, PackId pack);
Status RewriteRecordHeader(os::Storage& storage, const std::string& directory,
                           const PackPiece::Record& record);
// Cuts off what is in the pack from `size_bytes` on.
Status CutPack(os::Storage& storage, const std::string& directory, PackId pack,
               uint64_t size_bytes);

}  // namespace velafs::chunk
