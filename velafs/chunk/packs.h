// Packs: append-only files of chunks. `<directory>/<n>.pack`; FORMAT.md has the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "velafs/base/chunk_location.h"
#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/os/storage.h"

namespace velafs::chunk {

// A pack that has grown past this is full, and the next one begins.
inline constexpr uint64_t kPackTargetBytes = 512ull << 20;

// The size of the header before every payload, and of the file's header.
inline constexpr uint64_t kRecordHeaderBytes = 64;

// SHA-256 of raw chunk content, 1 .. kChunkBytes bytes.
ChunkId HashChunk(std::span<const std::byte> content);
// Checks that `payload`, stored with the codec and lengths of `location`, is the content of chunk
// `id`. Else Corrupt, with the fault but not its place.
Status CheckPayload(const ChunkLocation& location, const ChunkId& id,
                    std::span<const std::byte> payload);
// True if every byte is zero.
bool IsZeros(std::span<const std::byte> content);

// The bytes of a chunk in its pack's file, with its header.
uint64_t RecordBytes(const ChunkLocation& location);

std::string PackPath(const std::string& directory, PackId pack);

// Writes one pack. Thread-safe: room is reserved under a lock, bytes are written outside of it.
class PackWriter {
 public:
  // Makes the pack's file, which must not exist, and writes its header.
  static Result<std::unique_ptr<PackWriter>> Create(os::Storage& storage,
                                                    const std::string& directory, PackId pack);
  virtual ~PackWriter() = default;
  // Reserves room for a chunk of `raw_bytes`, stored as a payload of `stored_bytes`, and writes
  // nothing. The caller must then write the payload with `Write`.
  virtual ChunkLocation Reserve(uint32_t raw_bytes, uint32_t stored_bytes, Codec codec) = 0;
  ChunkLocation Reserve(uint32_t raw_bytes) { return Reserve(raw_bytes, raw_bytes, Codec::kNone); }
  virtual Status Write(const ChunkId& id, const ChunkLocation& location,
                       std::span<const std::byte> payload) = 0;
  virtual uint64_t size_bytes() const = 0;
  // Makes everything written durable, with the file's name.
  virtual Status Finish() = 0;
};

// Reads chunks out of the packs of one directory; keeps pack files open. Thread-safe.
class PackReader {
 public:
  PackReader(os::Storage& storage, std::string directory);
  ~PackReader();

  // Reads the chunk's raw content from `offset_in_chunk`; `into` must end within it. Corrupt (EIO),
  // naming pack and offset, if the pack is missing or too short. Does not verify the content.
  Status Read(const ChunkLocation& location, uint64_t offset_in_chunk, std::span<std::byte> into);
  // As Read, but reads all of the chunk and verifies that it is chunk `id`: by its SHA-256, or, if
  // it is compressed, by the frame's checksum and the name in the record. Else Corrupt.
  Status ReadVerified(const ChunkLocation& location, const ChunkId& id, uint64_t offset_in_chunk,
                      std::span<std::byte> into);
  // Reads the chunk as it is stored; `into` has that length. Does not verify it.
  Status ReadPayload(const ChunkLocation& location, std::span<std::byte> into);
  // Reads the whole record and compares header and content with `id`: Corrupt if they differ.
  Status Verify(const ChunkLocation& location, const ChunkId& id);
  // Makes every read of the chunk there Corrupt from now on: the caller has found it damaged.
  void Distrust(const ChunkLocation& location);
  // Closes the pack's file if it is open, before it is removed.
  void Forget(PackId pack);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Calls `visit` for every record of a pack, in order, and reads only headers. Ends if one is
// damaged (Corrupt, with its offset) or `visit` fails.
Status EnumeratePack(os::Storage& storage, const std::string& directory, PackId pack,
                     const std::function<Status(const ChunkId&, const ChunkLocation&)>& visit);

}  // namespace velafs::chunk
