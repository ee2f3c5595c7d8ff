#include "velafs/store/import/importer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <semaphore>
#include <thread>

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

constexpr uint64_t kReadBytes = 16 * kChunkBytes;
constexpr auto kReportInterval = std::chrono::milliseconds(100);

// True when a sparse file has no data in the range.
bool IsHole(int fd, ByteRange range) {
  const off_t data = lseek(fd, static_cast<off_t>(range.offset_bytes), SEEK_DATA);
  if (data < 0) return errno == ENXIO;
  return static_cast<uint64_t>(data) >= range.End();
}

// What the branch has otherwise than the source is in no hole.
bool IsSparse(const Source& source, uint32_t entry) {
  const struct stat& info = source.entries[entry].info;
  return info.st_blocks * 512 < info.st_size && !source.changes.contains(entry);
}

}  // namespace

Status Importer::Run() {
  VELAFS_TRY(layer_.ReserveInodes(source_.entries.size()));
  VELAFS_TRY(CutIntoParts());
  std::counting_semaphore<> finished(0);
  std::vector<std::thread> workers;
  const unsigned count = ThreadsToStore();
  for (unsigned i = 0; i < count; ++i) {
    workers.emplace_back([this, &finished] {
      Work();
      finished.release();
    });
  }
  const auto go_on = [this] {
    Report(false);
    return !stopped();
  };
  if (Status rows = layer_.PutRows(source_, go_on); !rows.ok()) Stop(std::move(rows));
  for (unsigned i = 0; i < count; ++i) {
    while (!finished.try_acquire_for(kReportInterval)) Report(false);
  }
  for (std::thread& worker : workers) worker.join();
  VELAFS_TRY(failure());
  Report(true);
  VELAFS_TRY(failure());
  VELAFS_TRY(source_.CheckAllUnchanged());
  return layer_.Finish();
}

Status Importer::CutIntoParts() {
  for (uint32_t i = 0; i < source_.entries.size(); ++i) {
    const SourceEntry& entry = source_.entries[i];
    if (entry.kind != Kind::kFile) continue;
    const uint64_t size = source_.SizeOf(i);
    ++totals_.files_total;
    totals_.bytes_total += size;
    if (size == 0 || !source_.HasContent(i)) {
      files_done_.fetch_add(1, std::memory_order_relaxed);
      if (!source_.HasContent(i)) bytes_done_.fetch_add(size, std::memory_order_relaxed);
      continue;
    }
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
  const uint64_t file_begin = source_.BeginOf(entry);
  const uint64_t parts = (size + catalog::kPartBytes - 1) / catalog::kPartBytes;
  uint64_t with_data = 0;  // the next part that may hold some
  for (uint64_t number = 0; number < parts; ++number) {
    if (number >= with_data) {
      const off_t begin = static_cast<off_t>(file_begin + number * catalog::kPartBytes);
      const off_t data = lseek(fd.get(), begin, SEEK_DATA);
      // A filesystem that cannot tell has data everywhere.
      with_data = data >= 0 ? (static_cast<uint64_t>(data) - file_begin) / catalog::kPartBytes
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
    if (is_sparse && IsHole(fd.get(), {source_.BeginOf(part.entry) + at, content.size()})) {
      ids.resize(ids.size() + (content.size() + kChunkBytes - 1) / kChunkBytes);
    } else {
      VELAFS_TRY(source_.Read(part.entry, fd.get(), at, content));
      VELAFS_TRY(layer_.sink().Store(content, &ids));
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
  return layer_.sink().PutManifest(layer_.InoOf(part.entry), part.number, {std::move(ids), {}});
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

}  // namespace velafs::store
