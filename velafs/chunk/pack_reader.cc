#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "velafs/base/mutex.h"
#include "velafs/chunk/pack_format.h"
#include "velafs/chunk/packs.h"

namespace velafs::chunk {
namespace {

// Open packs beyond this many are closed again, to stay far below the limit on open files.
constexpr size_t kMaxOpenPacks = 256;

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

  Status CheckTrusted(const ChunkLocation& location) {
    if (!has_distrusted) return {};
    ReaderLock lock(mutex);
    if (!distrusted.contains({location.pack, location.offset_bytes})) return {};
    return DamagedAt(PackPath(directory, location.pack), location.offset_bytes,
                     "the chunk there was found damaged");
  }

  os::Storage& storage;
  const std::string directory;
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
  const auto describe = [&] { return PackPath(state_->directory, location.pack); };
  if (const Status codec = CheckCodec(static_cast<uint8_t>(location.codec)); !codec.ok()) {
    return DamagedAt(describe(), location.offset_bytes, codec.message());
  }
  if (offset_in_chunk > location.stored_bytes ||
      into.size() > location.stored_bytes - offset_in_chunk) {
    return DamagedAt(
        describe(), location.offset_bytes,
        "the chunk there has only " + std::to_string(location.stored_bytes) + " bytes");
  }
  VELAFS_TRY(state_->CheckTrusted(location));
  VELAFS_ASSIGN(const std::shared_ptr<os::File> file, state_->Find(location.pack));
  const uint64_t offset_bytes = location.offset_bytes + offset_in_chunk;
  VELAFS_ASSIGN(const size_t got, file->Read(offset_bytes, into));
  if (got == into.size()) return {};
  return DamagedAt(describe(), offset_bytes,
                   "it ends " + std::to_string(into.size() - got) + " bytes too early");
}

Status PackReader::ReadVerified(const ChunkLocation& location, const ChunkId& id,
                                uint64_t offset_in_chunk, std::span<std::byte> into) {
  const auto damaged = [&](const std::string& what) {
    return DamagedAt(PackPath(state_->directory, location.pack), location.offset_bytes, what);
  };
  if (location.stored_bytes > kChunkBytes || offset_in_chunk > location.raw_bytes ||
      into.size() > location.raw_bytes - offset_in_chunk) {
    return damaged("the chunk there has only " + std::to_string(location.raw_bytes) + " bytes");
  }
  VELAFS_TRY(state_->CheckTrusted(location));
  VELAFS_ASSIGN(const std::shared_ptr<os::File> file, state_->Find(location.pack));
  thread_local std::vector<std::byte> buffer(kChunkBytes);
  // A chunk that is wanted whole needs no copy.
  const bool is_whole = into.size() == location.stored_bytes;
  const auto payload = is_whole ? into : std::span(buffer).first(location.stored_bytes);
  VELAFS_ASSIGN(const size_t got, file->Read(location.offset_bytes, payload));
  if (got < payload.size()) {
    return damaged("it ends " + std::to_string(payload.size() - got) + " bytes too early");
  }
  if (const Status sound = CheckPayload(location, id, payload); !sound.ok()) {
    return damaged(sound.message());
  }
  if (!is_whole) std::memcpy(into.data(), payload.data() + offset_in_chunk, into.size());
  return {};
}

Status PackReader::Verify(const ChunkLocation& location, const ChunkId& id) {
  const std::string path = PackPath(state_->directory, location.pack);
  const uint64_t record_at = location.offset_bytes - kHeaderBytes;
  if (location.offset_bytes < 2 * kHeaderBytes) {
    return DamagedAt(path, location.offset_bytes, "no chunk can begin there");
  }
  VELAFS_ASSIGN(const std::shared_ptr<os::File> file, state_->Find(location.pack));
  HeaderBytes bytes;
  VELAFS_TRY(ReadAll(*file, path, record_at, bytes));
  const Result<RecordHeader> header = DecodeRecordHeader(bytes);
  if (!header.ok()) return DamagedAt(path, record_at, header.status().message());
  if (header->id != id || header->codec != location.codec ||
      header->raw_bytes != location.raw_bytes || header->stored_bytes != location.stored_bytes) {
    return DamagedAt(path, record_at, "another chunk than " + id.ToHex() + " is there");
  }
  std::vector<std::byte> payload(header->stored_bytes);
  VELAFS_TRY(ReadAll(*file, path, location.offset_bytes, payload));
  const Status sound = CheckPayload(location, id, payload);
  return sound.ok() ? Status() : DamagedAt(path, location.offset_bytes, sound.message());
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
