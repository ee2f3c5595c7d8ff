// Reads a pack from end to end and reports everything in it, damaged or not.
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
  Status sound;  // Corrupt, with the fault but not its place
};

// Calls `visit` for every piece, in order and without gaps; for the pack's header only if it is
// damaged. After a record with a damaged header it goes on at the next record it finds. Compares
// content with its SHA-256. ENOENT if there is no such file. Returns a failure of `visit`.
//
// Needs a few megabytes of memory, whatever the pack's size.
Status ScanPack(os::Storage& storage, const std::string& directory, PackId pack,
                const std::function<Status(const PackPiece&)>& visit);

// Rewrite a header that a scan found damaged, from what is known elsewhere. Durable on return.
Status RewritePackHeader(os::Storage& storage, const std::string& directory, PackId pack);
Status RewriteRecordHeader(os::Storage& storage, const std::string& directory,
                           const PackPiece::Record& record);
// Truncates the pack to `size_bytes`.
Status CutPack(os::Storage& storage, const std::string& directory, PackId pack,
               uint64_t size_bytes);

}  // namespace velafs::chunk
