// Turns a Source into a layer: names, inodes, manifests and chunks.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/os/storage.h"
#include "velafs/store/chunk_sink.h"
#include "velafs/store/source.h"
#include "velafs/store/store.h"

namespace velafs::store {

// One thread calls; it starts others.
//
// Order: (1) layer and packs come into being as "importing" and "unpublished", rows and content are
// added; (2) Run makes all content durable; (3) the caller publishes with Publish in one
// transaction and makes that durable. A crash before (3) is durable leaves what RecoverImports
// removes.
class Importer {
 public:
  // All are borrowed.
  Importer(os::Storage& storage, catalog::Catalog& catalog, const StorePaths& paths,
           const Source& source, const chunk::Compression& compression,
           const ImportProgressFn& progress);
  ~Importer();

  // Steps 1 and 2. Failed with "cancelled" when the progress function said so.
  Status Run();
  // In step 3: the layer becomes sealed, the packs are published.
  Status Publish(catalog::Writer& writer) const;
  // Instead of step 3: removes all of it. Nothing else may follow.
  Status Abandon(chunk::PackReader& packs);

  LayerId layer() const { return layer_; }
  InodeNumber root() const { return first_ino_; }
  const ChunkSink::Counts& counts() const { return counts_; }  // after Run
  uint64_t files() const { return totals_.files_total; }
  uint64_t logical_bytes() const { return totals_.bytes_total; }

 private:
  // A piece of work: up to kPartBytes of one file.
  struct Part {
    uint32_t entry;
    uint64_t number;
  };

  Status Begin();
  Status CutIntoParts();
  // Only the parts that hold data are work; of the others it is noted that they are zeros.
  Status CutSparseFile(uint32_t entry);
  uint64_t EndOf(const Part& part) const;  // where in the file
  Status PutRows();
  Status PutRow(catalog::Writer& writer, uint32_t entry) const;
  InodeNumber InoOf(uint32_t entry) const { return InodeNumber(first_ino_.value + entry); }

  void Work();  // of one thread: parts until none is left or something failed
  Status StorePart(const Part& part, std::span<std::byte> buffer);
  Status PutPart(const Part& part, std::vector<ChunkId> ids);
  void Stop(Status status);
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }
  Status failure() const;
  // Tells the progress function if it is time, or `always`.
  void Report(bool always);

  os::Storage& storage_;
  catalog::Catalog& catalog_;
  const StorePaths& paths_;
  const Source& source_;
  const chunk::Compression compression_;
  const ImportProgressFn& progress_;

  LayerId layer_;
  InodeNumber first_ino_;
  std::unique_ptr<ChunkSink> sink_;
  // What Run has stored; kept because Publish, inside a transaction, must not ask the sink, whose
  // own transactions begin under its lock.
  std::vector<PackId> packs_;
  ChunkSink::Counts counts_;
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
