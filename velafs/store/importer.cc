#include "velafs/store/importer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <semaphore>
#include <thread>

#include "velafs/store/recovery.h"

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

constexpr uint64_t kReadBytes = 16 * kChunkBytes;
constexpr uint32_t kRowsPerTransaction = 100;
constexpr auto kReportInterval = std::chrono::milliseconds(100);

// True when a sparse file has no data from `offset` to `offset + length`.
bool IsHole(int fd, uint64_t offset, uint64_t length) {
  const off_t data = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) return errno == ENXIO;
  return static_cast<uint64_t>(data) >= offset + length;
}

// What the branch has otherwise than the source is in no hole.
bool IsSparse(const Source& source, uint32_t entry) {
  const struct stat& info = source.entries[entry].info;
  return info.st_blocks * 512 < info.st_size && !source.changes.contains(entry);
}

// Content workers at once: one for each processor, and two more for while others wait for the disk,
// to read or to make a full pack durable.
unsigned WorkerCount() { return std::max(1u, std::thread::hardware_concurrency()) + 2; }

}  // namespace

Importer::Importer(os::Storage& storage, catalog::Catalog& catalog, const StorePaths& paths,
                   const Source& source, const chunk::Compression& compression,
                   const ImportProgressFn& progress)
    : storage_(storage),
      catalog_(catalog),
      paths_(paths),
      source_(source),
      compression_(compression),
      progress_(progress) {}

Importer::~Importer() = default;

Status Importer::Run() {
  VELAFS_TRY(Begin());
  VELAFS_TRY(CutIntoParts());
  std::counting_semaphore<> finished(0);
  std::vector<std::thread> workers;
  const unsigned count = WorkerCount();
  for (unsigned i = 0; i < count; ++i) {
    workers.emplace_back([this, &finished] {
      Work();
      finished.release();
    });
  }
  if (Status rows = PutRows(); !rows.ok()) Stop(std::move(rows));
  for (unsigned i = 0; i < count; ++i) {
    while (!finished.try_acquire_for(kReportInterval)) Report(false);
  }
  for (std::thread& worker : workers) worker.join();
  VELAFS_TRY(failure());
  Report(true);
  VELAFS_TRY(failure());
  VELAFS_TRY(source_.CheckAllUnchanged());
  VELAFS_TRY(sink_->Finish());
  packs_ = sink_->packs();
  counts_ = sink_->counts();
  return {};
}

Status Importer::Begin() {
  VELAFS_ASSIGN(std::set<PackId> published, PublishedPacks(catalog_));
  VELAFS_TRY(catalog_
                 .Write([&](catalog::Writer& writer) -> Status {
                   VELAFS_ASSIGN(layer_,
                                 writer.AddLayer(LayerId(), catalog::LayerState::kImporting));
                   VELAFS_ASSIGN(first_ino_, writer.ReserveInodes(source_.entries.size()));
                   return {};
                 })
                 .status());
  sink_ = std::make_unique<ChunkSink>(storage_, catalog_, paths_.Packs(), layer_,
                                      std::move(published), compression_);
  return {};
}

Status Importer::CutIntoParts() {
  for (uint32_t i = 0; i < source_.entries.size(); ++i) {
    const SourceEntry& entry = source_.entries[i];
    if (entry.kind != Kind::kFile) continue;
    const uint64_t size = source_.SizeOf(i);
    ++totals_.files_total;
    totals_.bytes_total += size;
    if (size == 0) files_done_.fetch_add(1, std::memory_order_relaxed);
    if (IsSparse(source_, i)) {
      VELAFS_TRY(CutSparseFile(i));
      continue;
    }
    for (uint64_t number = 0; number * catalog::kPartBytes < size; ++number) {
      parts_.push_back({i, number});
    }
  }
  return {};
}

Status Importer::CutSparseFile(uint32_t entry) {
  VELAFS_ASSIGN(const os::UniqueFd fd, source_.Open(entry));
  const uint64_t size = source_.SizeOf(entry);
  const uint64_t parts = (size + catalog::kPartBytes - 1) / catalog::kPartBytes;
  uint64_t with_data = 0;  // the next part that may hold some
  for (uint64_t number = 0; number < parts; ++number) {
    if (number >= with_data) {
      const off_t begin = static_cast<off_t>(number * catalog::kPartBytes);
      const off_t data = lseek(fd.get(), begin, SEEK_DATA);
      // A filesystem that cannot tell has data everywhere.
      with_data = data >= 0        ? static_cast<uint64_t>(data) / catalog::kPartBytes
                  : errno == ENXIO ? parts
                                   : number;
    }
    const Part part{entry, number};
    if (number == with_data) {
      parts_.push_back(part);
      continue;
    }
    VELAFS_TRY(PutPart(part, {}));
    bytes_done_.fetch_add(EndOf(part) - number * catalog::kPartBytes, std::memory_order_relaxed);
  }
  return {};
}

Status Importer::PutRows() {
  const uint32_t count = static_cast<uint32_t>(source_.entries.size());
  for (uint32_t begin = 0; begin < count && !stopped(); begin += kRowsPerTransaction) {
    const uint32_t end = std::min(count, begin + kRowsPerTransaction);
    VELAFS_TRY(catalog_
                   .Write([&](catalog::Writer& writer) -> Status {
                     for (uint32_t i = begin; i < end; ++i) VELAFS_TRY(PutRow(writer, i));
                     return {};
                   })
                   .status());
    Report(false);
  }
  return {};
}

Status Importer::PutRow(catalog::Writer& writer, uint32_t index) const {
  const SourceEntry& entry = source_.entries[index];
  const bool is_other_name = entry.kind == Kind::kOtherName;
  const InodeNumber ino = InoOf(is_other_name ? entry.same_as : index);
  if (index != 0) {
    VELAFS_TRY(writer.PutName(layer_, {InoOf(entry.parent), entry.name, ino}));
  }
  if (is_other_name) return {};
  catalog::InodeRow row;
  row.ino = ino;
  row.mode = entry.info.st_mode;
  row.uid = entry.info.st_uid;
  row.gid = entry.info.st_gid;
  row.nlink = entry.nlink;
  row.atime = ToTimeNs(entry.info.st_atim);
  row.mtime = ToTimeNs(entry.info.st_mtim);
  row.ctime = ToTimeNs(entry.info.st_ctim);
  row.born_here = true;
  if (entry.kind == Kind::kFile) row.size_bytes = source_.SizeOf(index);
  if (entry.kind == Kind::kSymlink) {
    row.target = entry.target;
    row.size_bytes = entry.target.size();
  }
  return writer.PutInode(layer_, row);
}

uint64_t Importer::EndOf(const Part& part) const {
  return std::min(source_.SizeOf(part.entry), (part.number + 1) * catalog::kPartBytes);
}

void Importer::Work() {
  std::vector<std::byte> buffer(kReadBytes);
  while (!stopped()) {
    const size_t next = next_part_.fetch_add(1, std::memory_order_relaxed);
    if (next >= parts_.size()) return;
    if (Status status = StorePart(parts_[next], buffer); !status.ok()) Stop(std::move(status));
  }
}

Status Importer::StorePart(const Part& part, std::span<std::byte> buffer) {
  const bool is_sparse = IsSparse(source_, part.entry);
  VELAFS_ASSIGN(const os::UniqueFd fd, source_.Open(part.entry));
  posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  const uint64_t begin = part.number * catalog::kPartBytes;
  const uint64_t end = EndOf(part);
  std::vector<ChunkId> ids;
  ids.reserve((end - begin + kChunkBytes - 1) / kChunkBytes);
  for (uint64_t at = begin; at < end && !stopped(); at += buffer.size()) {
    const auto content = buffer.first(std::min<uint64_t>(buffer.size(), end - at));
    if (is_sparse && IsHole(fd.get(), at, content.size())) {
      ids.resize(ids.size() + (content.size() + kChunkBytes - 1) / kChunkBytes);
    } else {
      VELAFS_TRY(source_.Read(part.entry, fd.get(), at, content));
      VELAFS_TRY(sink_->Store(content, &ids));
    }
    bytes_done_.fetch_add(content.size(), std::memory_order_relaxed);
  }
  if (stopped()) return {};
  VELAFS_TRY(source_.CheckUnchanged(part.entry, fd.get()));
  return PutPart(part, std::move(ids));
}

Status Importer::PutPart(const Part& part, std::vector<ChunkId> ids) {
  if (EndOf(part) == source_.SizeOf(part.entry)) {
    files_done_.fetch_add(1, std::memory_order_relaxed);
  }
  if (std::all_of(ids.begin(), ids.end(), [](const ChunkId& id) { return id.IsZeros(); })) {
    ids.clear();
  }
  return sink_->PutManifest(InoOf(part.entry), part.number, {std::move(ids), {}});
}

void Importer::Stop(Status status) {
  MutexLock lock(mutex_);
  if (failure_.ok()) failure_ = std::move(status);
  stop_.store(true, std::memory_order_relaxed);
}

Status Importer::failure() const {
  MutexLock lock(mutex_);
  return failure_;
}

void Importer::Report(bool always) {
  const TimeNs now = NowNs();
  constexpr TimeNs kInterval = std::chrono::nanoseconds(kReportInterval).count();
  if (progress_ == nullptr || (!always && now - reported_at_ < kInterval)) return;
  reported_at_ = now;
  ImportProgress progress = totals_;
  progress.bytes_done = bytes_done_.load(std::memory_order_relaxed);
  progress.files_done = files_done_.load(std::memory_order_relaxed);
  if (!stopped() && !progress_(progress)) Stop(Failed("cancelled"));
}

Status Importer::Publish(catalog::Writer& writer) const {
  for (const PackId pack : packs_) VELAFS_TRY(writer.PublishPack(pack));
  VELAFS_TRY(writer.SetLayerLogicalBytes(layer_, logical_bytes()));
  VELAFS_TRY(writer.SetLayerStoredBytes(layer_, counts_.bytes_stored));
  return writer.SetLayerState(layer_, catalog::LayerState::kSealed);
}

Status Importer::Abandon(chunk::PackReader& packs) {
  if (sink_ == nullptr) return {};
  const std::vector<PackId> pack_ids = sink_->packs();
  sink_.reset();  // closes the packs: their space comes back with the removal of the files
  return RemoveImport(storage_, catalog_, packs, paths_.Packs(), layer_, pack_ids);
}

}  // namespace velafs::store
