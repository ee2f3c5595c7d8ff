#include <cstring>
#include <vector>

#include "velafs/base/check.h"
#include "velafs/base/mutex.h"
#include "velafs/chunk/pack_format.h"
#include "velafs/chunk/packs.h"

namespace velafs::chunk {
namespace {

class FilePackWriter : public PackWriter {
 public:
  FilePackWriter(os::Storage& storage, std::string directory, PackId pack,
                 std::unique_ptr<os::File> file)
      : storage_(storage), directory_(std::move(directory)), pack_(pack), file_(std::move(file)) {}

  Status WriteFileHeader() { return file_->Write(0, EncodePackHeader(pack_)); }

  using PackWriter::Reserve;
  ChunkLocation Reserve(uint32_t raw_bytes, uint32_t stored_bytes, Codec codec) override {
    VELAFS_CHECK(raw_bytes >= 1 && raw_bytes <= kChunkBytes);
    VELAFS_CHECK(stored_bytes >= 1 && stored_bytes <= kChunkBytes);
    VELAFS_CHECK(codec != Codec::kNone || stored_bytes == raw_bytes);
    MutexLock lock(mutex_);
    ChunkLocation location;
    location.pack = pack_;
    location.offset_bytes = size_bytes_ + kHeaderBytes;
    location.stored_bytes = stored_bytes;
    location.raw_bytes = raw_bytes;
    location.codec = codec;
    size_bytes_ = location.offset_bytes + location.stored_bytes;
    ++unwritten_;
    return location;
  }

  Status Write(const ChunkId& id, const ChunkLocation& location,
               std::span<const std::byte> payload) override {
    VELAFS_CHECK(location.pack == pack_ && location.stored_bytes == payload.size());
    // One buffer, so that header and payload go down in one system call.
    thread_local std::vector<std::byte> record;
    record.resize(kHeaderBytes + payload.size());
    const HeaderBytes header =
        EncodeRecordHeader({id, location.codec, location.raw_bytes, location.stored_bytes});
    std::memcpy(record.data(), header.data(), header.size());
    std::memcpy(record.data() + kHeaderBytes, payload.data(), payload.size());
    Status status = file_->Write(location.offset_bytes - kHeaderBytes, record);
    MutexLock lock(mutex_);
    if (!status.ok()) {
      damaged_ = true;
    } else {
      VELAFS_CHECK(unwritten_ > 0);
      --unwritten_;
    }
    return status;
  }

  uint64_t size_bytes() const override {
    MutexLock lock(mutex_);
    return size_bytes_;
  }

  Status Finish() override {
    {
      MutexLock lock(mutex_);
      // A record that failed to be written is a hole that no later sync can make good.
      if (damaged_) {
        return Failed("pack \"" + PackPath(directory_, pack_) + "\" was not written completely");
      }
      VELAFS_CHECK(unwritten_ == 0);
      damaged_ = true;  // until both syncs have succeeded
    }
    VELAFS_TRY(file_->Sync(os::SyncKind::kFull));
    VELAFS_TRY(storage_.SyncDirectory(directory_));
    MutexLock lock(mutex_);
    damaged_ = false;
    return {};
  }

 private:
  os::Storage& storage_;
  const std::string directory_;
  const PackId pack_;
  const std::unique_ptr<os::File> file_;
  mutable Mutex mutex_;
  uint64_t size_bytes_ GUARDED_BY(mutex_) = kHeaderBytes;
  uint64_t unwritten_ GUARDED_BY(mutex_) = 0;  // rooms reserved and not yet written
  bool damaged_ GUARDED_BY(mutex_) = false;  // a write or sync failed: Finish never succeeds again
};

}  // namespace

uint64_t RecordBytes(const ChunkLocation& location) { return kHeaderBytes + location.stored_bytes; }

std::string PackPath(const std::string& directory, PackId pack) {
  return directory + "/" + std::to_string(pack.value) + ".pack";
}

Result<std::unique_ptr<PackWriter>> PackWriter::Create(os::Storage& storage,
                                                       const std::string& directory, PackId pack) {
  VELAFS_CHECK(static_cast<bool>(pack));
  VELAFS_ASSIGN(std::unique_ptr<os::File> file,
                storage.Open(PackPath(directory, pack), os::OpenMode::kCreateNew));
  auto writer = std::make_unique<FilePackWriter>(storage, directory, pack, std::move(file));
  VELAFS_TRY(writer->WriteFileHeader());
  return std::unique_ptr<PackWriter>(std::move(writer));
}

}  // namespace velafs::chunk
