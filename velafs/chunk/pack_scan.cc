#include "velafs/chunk/pack_scan.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "velafs/chunk/pack_format.h"
#include "velafs/chunk/packs.h"

namespace velafs::chunk {
namespace {

constexpr size_t kWindowBytes = 4 << 20;
// What is given up at a time where the disk cannot read.
constexpr uint64_t kUnreadableBytes = 4096;

// A file read forward, many records at a time.
class Window {
 public:
  Window(os::File& file, uint64_t size_bytes)
      : file_(file), size_bytes_(size_bytes), buffer_(kWindowBytes) {}

  // `length` bytes at `at`, which must lie within the file. Valid until the next call.
  Result<std::span<const std::byte>> At(uint64_t at, size_t length) {
    if (at < begin_ || at + length > begin_ + filled_) {
      begin_ = at;
      filled_ = 0;
      const uint64_t wanted = std::min<uint64_t>(buffer_.size(), size_bytes_ - at);
      VELAFS_ASSIGN(filled_, file_.Read(at, std::span(buffer_).first(wanted)));
      if (filled_ < length) return Corrupt("it has become shorter while it was read");
    }
    return std::span<const std::byte>(buffer_).subspan(at - begin_, length);
  }

 private:
  os::File& file_;
  const uint64_t size_bytes_;
  std::vector<std::byte> buffer_;
  uint64_t begin_ = 0;
  size_t filled_ = 0;
};

class Scan {
 public:
  Scan(os::File& file, uint64_t size_bytes, PackId pack,
       const std::function<Status(const PackPiece&)>& visit)
      : window_(file, size_bytes), size_bytes_(size_bytes), pack_(pack), visit_(visit) {}

  Status Run() {
    VELAFS_TRY(VisitHeader());
    uint64_t at = std::min<uint64_t>(kHeaderBytes, size_bytes_);
    while (at < size_bytes_) {
      const Result<RecordHeader> header = HeaderAt(at);
      const uint64_t next = header.ok() ? at + kHeaderBytes + header->stored_bytes : NextRecord(at);
      PackPiece piece{.offset_bytes = at, .length_bytes = next - at, .record = {}, .sound = {}};
      if (header.ok()) {
        FillRecord(*header, &piece);
      } else {
        piece.sound = Corrupt(header.status().message());
      }
      VELAFS_TRY(visit_(piece));
      at = next;
    }
    return {};
  }

 private:
  Status VisitHeader() {
    PackPiece piece{.offset_bytes = 0,
                    .length_bytes = std::min<uint64_t>(kHeaderBytes, size_bytes_),
                    .record = {},
                    .sound = {}};
    if (size_bytes_ < kHeaderBytes) {
      piece.sound = Corrupt("it is shorter than a pack's header");
    } else if (const auto bytes = window_.At(0, kHeaderBytes); !bytes.ok()) {
      piece.sound = Corrupt(bytes.status().message());
    } else {
      piece.sound = CheckPackHeader(ToHeader(*bytes), pack_);
    }
    return piece.sound.ok() ? Status() : visit_(piece);
  }

  static HeaderBytes ToHeader(std::span<const std::byte> bytes) {
    HeaderBytes header;
    std::memcpy(header.data(), bytes.data(), header.size());
    return header;
  }

  // The header of a record that lies within the file.
  Result<RecordHeader> HeaderAt(uint64_t at) {
    if (size_bytes_ - at < kHeaderBytes) {
      return Corrupt("it ends " + std::to_string(kHeaderBytes - (size_bytes_ - at)) +
                     " bytes too early");
    }
    VELAFS_ASSIGN(const auto bytes, window_.At(at, kHeaderBytes));
    VELAFS_ASSIGN(const RecordHeader header, DecodeRecordHeader(ToHeader(bytes)));
    const uint64_t end = at + kHeaderBytes + header.stored_bytes;
    if (end > size_bytes_) {
      return Corrupt("it ends " + std::to_string(end - size_bytes_) + " bytes too early");
    }
    return header;
  }

  void FillRecord(const RecordHeader& header, PackPiece* piece) {
    const ChunkLocation location{.pack = pack_,
                                 .offset_bytes = piece->offset_bytes + kHeaderBytes,
                                 .stored_bytes = header.stored_bytes,
                                 .raw_bytes = header.raw_bytes,
                                 .codec = header.codec};
    piece->record = {header.id, location};
    const auto payload = window_.At(location.offset_bytes, location.stored_bytes);
    piece->sound = payload.ok() ? CheckPayload(location, header.id, *payload)
                                : Corrupt(payload.status().message());
  }

  // Where the next record begins after `at`, where none does; the file's end when there is none.
  uint64_t NextRecord(uint64_t at) {
    uint64_t next = at + 1;
    while (next < size_bytes_ && size_bytes_ - next >= kHeaderBytes) {
      const auto bytes = window_.At(next, std::min<uint64_t>(kUnreadableBytes, size_bytes_ - next));
      if (!bytes.ok()) {
        next += kUnreadableBytes;
        continue;
      }
      const auto first = static_cast<std::byte>('V');  // of a record's magic
      const auto found = std::find(bytes->begin(), bytes->end(), first);
      next += static_cast<uint64_t>(found - bytes->begin());
      if (found == bytes->end()) continue;
      if (HeaderAt(next).ok()) return next;
      ++next;
    }
    return size_bytes_;
  }

  Window window_;
  const uint64_t size_bytes_;
  const PackId pack_;
  const std::function<Status(const PackPiece&)>& visit_;
};

Result<std::unique_ptr<os::File>> OpenForChange(os::Storage& storage, const std::string& directory,
                                                PackId pack) {
  return storage.Open(PackPath(directory, pack), os::OpenMode::kReadWrite);
}

}  // namespace

Status ScanPack(os::Storage& storage, const std::string& directory, PackId pack,
                const std::function<Status(const PackPiece&)>& visit) {
  VELAFS_ASSIGN(const auto file, storage.Open(PackPath(directory, pack), os::OpenMode::kRead));
  VELAFS_ASSIGN(const os::FileInfo info, file->Stat());
  return Scan(*file, info.size_bytes, pack, visit).Run();
}

Status RewritePackHeader(os::Storage& storage, const std::string& directory, PackId pack) {
  VELAFS_ASSIGN(const auto file, OpenForChange(storage, directory, pack));
  VELAFS_TRY(file->Write(0, EncodePackHeader(pack)));
  return file->Sync(os::SyncKind::kFull);
}

Status RewriteRecordHeader(os::Storage& storage, const std::string& directory,
                           const PackPiece::Record& record) {
  const ChunkLocation& location = record.location;
  VELAFS_ASSIGN(const auto file, OpenForChange(storage, directory, location.pack));
  const RecordHeader header{record.id, location.codec, location.raw_bytes, location.stored_bytes};
  VELAFS_TRY(file->Write(location.offset_bytes - kHeaderBytes, EncodeRecordHeader(header)));
  return file->Sync(os::SyncKind::kFull);
}

Status CutPack(os::Storage& storage, const std::string& directory, PackId pack,
               uint64_t size_bytes) {
  VELAFS_ASSIGN(const auto file, OpenForChange(storage, directory, pack));
  VELAFS_TRY(file->Truncate(size_bytes));
  return file->Sync(os::SyncKind::kFull);
}

}  // namespace velafs::chunk
