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

// A pack is full, and the next one begun, once it has grown past this.
inline constexpr uint64_t kPackTargetBytes = 512ull << 20;

// What stands before every payload, and at the beginning of the file.
inline constexpr uint64_t kRecordHeaderBytes = 64;

// SHA-256 of raw chunk content, 1 .. kChunkBytes bytes.
ChunkId HashChunk(std::span<const std::byte> content);
// Success when `payload`, as stored with `location`'s codec and lengths, is the content of chunk
// `id`; else Corrupt, saying what is wrong but not where.
Status CheckPayload(const ChunkLocation& location, const ChunkId& id,
                    std::span<const std::byte> payload);
// True when every byte is zero.
bool IsZeros(std::span<const std::byte> content);

// What a chunk takes of its pack's file, header included.
uint64_t RecordBytes(const ChunkLocation& location);

std::string PackPath(const std::string& directory, PackId pack);

// Writes one pack. Thread-safe: room is reserved under a lock, bytes are written outside of it.
class PackWriter {
 public:
  // Makes the pack's file, which must not exist, and writes its header.
  static Result<std::unique_ptr<PackWriter>> Create(os::Storage& storage,
                                                    const std::string& directory, PackId pack);
  virtual ~PackWriter() = default;
  // Room for a chunk of `raw_bytes`, stored as a payload of `stored_bytes`; nothing is written yet.
  // `Write` must follow with the payload.
  virtual ChunkLocation Reserve(uint32_t raw_bytes, uint32_t stored_bytes, Codec codec) = 0;
  ChunkLocation Reserve(uint32_t raw_bytes) { return Reserve(raw_bytes, raw_bytes, Codec::kNone); }
  virtual Status Write(const ChunkId& id, const ChunkLocation& location,
                       std::span<const std::byte> payload) = 0;
  virtual uint64_t size_bytes() const = 0;
  // Makes all that was written durable, the file's name too.
  virtual Status Finish() = 0;
};

// Reads chunks out of the packs of one directory; keeps pack files open. Thread-safe.
class PackReader {
 public:
  PackReader(os::Storage& storage, std::string directory);
  ~PackReader();

  // Bytes of the chunk's raw content from `offset_in_chunk`; `into` must end within it. Corrupt
  // (EIO), naming pack and offset, when the pack is missing or too short. Content is not verified.
  Status Read(const ChunkLocation& location, uint64_t offset_in_chunk, std::span<std::byte> into);
  // As Read, but all of the chunk is read, and is Corrupt too when it is not chunk `id`, whole: by
  // its SHA-256; where it is compressed, by the frame's checksum and the name in the record.
  Status ReadVerified(const ChunkLocation& location, const ChunkId& id, uint64_t offset_in_chunk,
                      std::span<std::byte> into);
  // The chunk as it is stored; `into` has that length. Not verified.
  Status ReadPayload(const ChunkLocation& location, std::span<std::byte> into);
  // Reads the whole record and compares header and content with `id`: Corrupt when they differ.
  Status Verify(const ChunkLocation& location, const ChunkId& id);
  // Somebody has found the chunk there damaged: from now on every read of it is Corrupt.
  void Distrust(const ChunkLocation& location);
  // Closes the pack's file if open: it is about to be removed.
  void Forget(PackId pack);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Calls `visit` for every record of a pack from its headers alone, in order, until one is damaged
// (Corrupt, with its offset) or `visit` fails.
Status EnumeratePack(os::Storage& storage, const std::string& directory, PackId pack,
                     const std::function<Status(const ChunkId&, const ChunkLocation&)>& visit);

}  // namespace velafs::chunk
