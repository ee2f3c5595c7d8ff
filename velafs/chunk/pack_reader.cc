#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "velafs/base/byte_range.h"
#include "velafs/base/mutex.h"
#include "velafs/chunk/codec.h"
#include "velafs/chunk/content_cache.h"
#include "velafs/chunk/pack_format.h"
#include "velafs/chunk/packs.h"

namespace velafs::chunk {
namespace {

// Open packs beyond this many are closed again, to stay far below the limit on open files.
constexpr size_t kMaxOpenPacks = 256;
// Of decompressed content, 64 MiB.
constexpr size_t kMaxKeptChunks = 1024;

bool Names(const RecordHeader& header, const ChunkId& id, const ChunkLocation& location) {
  return header.id == id && header.codec == location.codec &&
         header.raw_bytes == location.raw_bytes && header.stored_bytes == location.stored_bytes;
}

std::string WrongHash(const ChunkId& id) {
  return "the content of chunk " + id.ToHex() + " does not match its SHA-256";
}

Status DamagedAt(const std::string& path, uint64_t offset_bytes, const std::string& what) {
  return Corrupt("pack \"" + path + "\" is damaged at byte " + std::to_string(offset_bytes) + ": " +
                 what);
}

// Fills `into` from `offset_bytes`, else Corrupt: the pack is too short.
Status ReadAll(os::File& file, const std::string& path, uint64_t offset_bytes,
               std::span<std::byte> into) {
  VELAFS_ASSIGN(const size_t got, file.Read(offset_bytes, into));
  if (got == into.size()) return {};
  return DamagedAt(path, offset_bytes,
                   "it ends " + std::to_string(into.size() - got) + " bytes too early");
}

Result<std::shared_ptr<os::File>> OpenPack(os::Storage& storage, const std::string& path) {
  Result<std::unique_ptr<os::File>> file = storage.Open(path, os::OpenMode::kRead);
  if (file.ok()) return std::shared_ptr<os::File>(*std::move(file));
  if (file.status().error_number() == ENOENT) return Corrupt("pack \"" + path + "\" is missing");
  return std::move(file).status();
}

}  // namespace

struct PackReader::State {
  State(os::Storage& s, std::string d) : storage(s), directory(std::move(d)) {}

  Result<std::shared_ptr<os::File>> Find(PackId pack) {
    {
      ReaderLock lock(mutex);
      const auto found = open.find(pack);
      if (found != open.end()) return found->second;
    }
    // Under the lock, so that Forget cannot come between the opening and the keeping.
    WriterLock lock(mutex);
    const auto found = open.find(pack);
    if (found != open.end()) return found->second;
    VELAFS_ASSIGN(std::shared_ptr<os::File> file, OpenPack(storage, PackPath(directory, pack)));
    if (open.size() >= kMaxOpenPacks) open.erase(open.begin());
    open.emplace(pack, file);
    return file;
  }

  Status Damaged(const ChunkLocation& location, const std::string& what) const {
    return DamagedAt(PackPath(directory, location.pack), location.offset_bytes, what);
  }

  // What the catalog says of the chunk is sound, and the range lies within its content.
  Status CheckRange(const ChunkLocation& location, ByteRange in_chunk) const {
    if (const Status codec = CheckCodec(static_cast<uint8_t>(location.codec)); !codec.ok()) {
      return Damaged(location, codec.message());
    }
    const bool is_sound =
        location.stored_bytes <= kChunkBytes && location.raw_bytes <= kChunkBytes &&
        (location.codec != Codec::kNone || location.raw_bytes == location.stored_bytes);
    if (is_sound && in_chunk.IsWithin(location.raw_bytes)) return {};
    return Damaged(location,
                   "the chunk there has only " + std::to_string(location.raw_bytes) + " bytes");
  }

  // Of the payload as it is stored.
  Status ReadStored(const ChunkLocation& location, uint64_t offset_bytes,
                    std::span<std::byte> into) {
    VELAFS_ASSIGN(const std::shared_ptr<os::File> file, Find(location.pack));
    return ReadAll(*file, PackPath(directory, location.pack), location.offset_bytes + offset_bytes,
                   into);
  }

  // All of a compressed chunk, into `content` of its length. Corrupt unless its frame is whole.
  Status DecompressTo(const ChunkLocation& location, std::span<std::byte> content) {
    thread_local std::vector<std::byte> buffer(kChunkBytes);
    const auto payload = std::span(buffer).first(location.stored_bytes);
    VELAFS_TRY(ReadStored(location, 0, payload));
    const Status done = Decompress(payload, content);
    return done.ok() ? Status() : Damaged(location, done.message());
  }

  Status ReadCompressed(const ChunkLocation& location, uint64_t offset_in_chunk,
                        std::span<std::byte> into) {
    Content content = cache.Find(location);
    if (content == nullptr) {
      // Whoever wants it whole will hardly want it again soon: the kernel has it then.
      if (into.size() == location.raw_bytes) return DecompressTo(location, into);
      auto made = std::make_shared_for_overwrite<std::byte[]>(location.raw_bytes);
      VELAFS_TRY(DecompressTo(location, {made.get(), location.raw_bytes}));
      content = std::move(made);
      cache.Keep(location, content);
    }
    std::memcpy(into.data(), content.get() + offset_in_chunk, into.size());
    return {};
  }

  // The record's own words, which may say what the chunk at `location` is not.
  Result<RecordHeader> HeaderAt(const ChunkLocation& location) {
    const std::string path = PackPath(directory, location.pack);
    if (location.offset_bytes < 2 * kHeaderBytes) {
      return DamagedAt(path, location.offset_bytes, "no chunk can begin there");
    }
    const uint64_t record_at = location.offset_bytes - kHeaderBytes;
    VELAFS_ASSIGN(const std::shared_ptr<os::File> file, Find(location.pack));
    HeaderBytes bytes;
    VELAFS_TRY(ReadAll(*file, path, record_at, bytes));
    Result<RecordHeader> header = DecodeRecordHeader(bytes);
    if (!header.ok()) return DamagedAt(path, record_at, header.status().message());
    return header;
  }

  // That what could be decompressed is chunk `id`. Its frame's checksum held, at a tenth of the
  // cost of a SHA-256: what is left to ask is whether this is the right frame.
  Status CheckName(const ChunkLocation& location, const ChunkId& id) {
    const Result<RecordHeader> header = HeaderAt(location);
    if (header.ok() && Names(*header, id, location)) return {};
    std::vector<std::byte> content(location.raw_bytes);
    VELAFS_TRY(DecompressTo(location, content));
    return HashChunk(content) == id ? Status() : Damaged(location, WrongHash(id));
  }

  Status CheckTrusted(const ChunkLocation& location) {
    if (!has_distrusted) return {};
    ReaderLock lock(mutex);
    if (!distrusted.contains({location.pack, location.offset_bytes})) return {};
    return DamagedAt(PackPath(directory, location.pack), location.offset_bytes,
                     "the chunk there was found damaged");
  }

  os::Storage& storage;
  const std::string directory;
  ContentCache cache{kMaxKeptChunks};
  SharedMutex mutex;
  std::atomic<bool> has_distrusted = false;
  std::set<std::pair<PackId, uint64_t>> distrusted GUARDED_BY(mutex);
  // Shared with reads under way, which outlive a Forget.
  std::map<PackId, std::shared_ptr<os::File>> open GUARDED_BY(mutex);
};

PackReader::PackReader(os::Storage& storage, std::string directory)
    : state_(std::make_unique<State>(storage, std::move(directory))) {}

PackReader::~PackReader() = default;

Status PackReader::Read(const ChunkLocation& location, uint64_t offset_in_chunk,
                        std::span<std::byte> into) {
  VELAFS_TRY(state_->CheckRange(location, {offset_in_chunk, into.size()}));
  VELAFS_TRY(state_->CheckTrusted(location));
  if (location.codec == Codec::kNone) {
    return state_->ReadStored(location, offset_in_chunk, into);
  }
  return state_->ReadCompressed(location, offset_in_chunk, into);
}

Status PackReader::ReadVerified(const ChunkLocation& location, const ChunkId& id,
                                uint64_t offset_in_chunk, std::span<std::byte> into) {
  VELAFS_TRY(state_->CheckRange(location, {offset_in_chunk, into.size()}));
  VELAFS_TRY(state_->CheckTrusted(location));
  if (location.codec != Codec::kNone) {
    VELAFS_TRY(state_->ReadCompressed(location, offset_in_chunk, into));
    return state_->CheckName(location, id);
  }
  thread_local std::vector<std::byte> buffer(kChunkBytes);
  // A chunk that is wanted whole needs no copy.
  const bool is_whole = into.size() == location.stored_bytes;
  const auto content = is_whole ? into : std::span(buffer).first(location.stored_bytes);
  VELAFS_TRY(state_->ReadStored(location, 0, content));
  if (HashChunk(content) != id) return state_->Damaged(location, WrongHash(id));
  if (!is_whole) std::memcpy(into.data(), content.data() + offset_in_chunk, into.size());
  return {};
}

Status PackReader::ReadPayload(const ChunkLocation& location, std::span<std::byte> into) {
  VELAFS_TRY(state_->CheckTrusted(location));
  return state_->ReadStored(location, 0, into);
}

Status PackReader::Verify(const ChunkLocation& location, const ChunkId& id) {
  VELAFS_ASSIGN(const RecordHeader header, state_->HeaderAt(location));
  if (!Names(header, id, location)) {
    return state_->Damaged(location, "another chunk than " + id.ToHex() + " is there");
  }
  std::vector<std::byte> payload(location.stored_bytes);
  VELAFS_TRY(state_->ReadStored(location, 0, payload));
  const Status sound = CheckPayload(location, id, payload);
  return sound.ok() ? Status() : state_->Damaged(location, sound.message());
}

void PackReader::Distrust(const ChunkLocation& location) {
  WriterLock lock(state_->mutex);
  state_->distrusted.emplace(location.pack, location.offset_bytes);
  state_->has_distrusted = true;
}

void PackReader::Forget(PackId pack) {
  WriterLock lock(state_->mutex);
  state_->open.erase(pack);
}

Status EnumeratePack(os::Storage& storage, const std::string& directory, PackId pack,
                     const std::function<Status(const ChunkId&, const ChunkLocation&)>& visit) {
  const std::string path = PackPath(directory, pack);
  VELAFS_ASSIGN(const std::shared_ptr<os::File> file, OpenPack(storage, path));
  VELAFS_ASSIGN(const os::FileInfo info, file->Stat());
  HeaderBytes bytes;
  VELAFS_TRY(ReadAll(*file, path, 0, bytes));
  if (const Status header = CheckPackHeader(bytes, pack); !header.ok()) {
    return DamagedAt(path, 0, header.message());
  }
  for (uint64_t at = kHeaderBytes; at < info.size_bytes;) {
    VELAFS_TRY(ReadAll(*file, path, at, bytes));
    const Result<RecordHeader> header = DecodeRecordHeader(bytes);
    if (!header.ok()) return DamagedAt(path, at, header.status().message());
    const uint64_t end = at + kHeaderBytes + header->stored_bytes;
    if (end > info.size_bytes) {
      return DamagedAt(path, at,
                       "it ends " + std::to_string(end - info.size_bytes) + " bytes too early");
    }
    VELAFS_TRY(visit(header->id, {.pack = pack,
                                  .offset_bytes = at + kHeaderBytes,
                                  .stored_bytes = header->stored_bytes,
                                  .raw_bytes = header->raw_bytes,
                                  .codec = header->codec}));
    at = end;
  }
  return {};
}

}  // namespace velafs::chunk
