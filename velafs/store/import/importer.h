// Turns a Source into a layer: names, inodes, manifests and chunks.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/store/import/imported_layer.h"
#include "velafs/store/import/source.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

// One thread calls; it starts others.
class Importer {
 public:
  // All are borrowed; the layer has begun. The importer reads content of the source that is not
  // stored yet.
  Importer(ImportedLayer& layer, const Source& source, const ImportProgressFn& progress)
      : layer_(layer), source_(source), progress_(progress) {}

  // Everything is in the layer on return, and content is durable. Failed with "cancelled" when the
  // progress function said so.
  Status Run();

  uint64_t files() const { return totals_.files_total; }  // after Run, as below
  uint64_t logical_bytes() const { return totals_.bytes_total; }

 private:
  // A piece of work: up to kPartBytes of one file.
  struct Part {
    uint32_t entry;
    uint64_t number;
  };

  Status CutIntoParts();
  // Only the parts that hold data are work; of the others it is noted that they are zeros.
  Status CutSparseFile(uint32_t entry);
  uint64_t EndOf(const Part& part) const;  // where in the file

  void Work();  // of one thread: parts until none is left or something failed
  Status StorePart(const Part& part, std::span<std::byte> buffer);
  Status PutPart(const Part& part, std::vector<ChunkId> ids);
  void Stop(Status status);
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }
  Status failure() const;
  // Tells the progress function if it is time, or `always`.
  void Report(bool always);

  ImportedLayer& layer_;
  const Source& source_;
  const ImportProgressFn& progress_;

  std::vector<Part> parts_;
  ImportProgress totals_;
  TimeNs reported_at_ = 0;

  std::atomic<size_t> next_part_ = 0;
  std::atomic<uint64_t> bytes_done_ = 0;
  std::atomic<uint64_t> files_done_ = 0;
  std::atomic<bool> stop_ = false;
  mutable Mutex mutex_;
  Status failure_ GUARDED_BY(mutex_);  // the first one
};

}  // namespace velafs::store
