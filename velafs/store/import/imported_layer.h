// The layer that an import fills.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/codec.h"
#include "velafs/chunk/packs.h"
#include "velafs/os/storage.h"
#include "velafs/store/chunk_sink.h"
#include "velafs/store/import/source.h"
#include "velafs/store/paths.h"

namespace velafs::store {

// Externally synchronised, but for the sink.
//
// Order: (1) Begin: the layer and packs come into being as "importing" and "unpublished", rows and
// content are added; (2) Finish makes all content durable; (3) the caller publishes with Publish in
// one transaction and makes that durable. After a crash before (3) is durable, RecoverImports
// removes the rest.
class ImportedLayer {
 public:
  // All are borrowed.
  ImportedLayer(os::Storage& storage, catalog::Catalog& catalog, const StorePaths& paths,
                const chunk::Compression& compression);
  ~ImportedLayer();

  // Step 1.
  Status Begin();
  // Has numbers ready for the entries before `count`.
  Status ReserveInodes(size_t count);
  // Of an entry that has one.
  InodeNumber InoOf(uint32_t entry) const;
  ChunkSink& sink() { return *sink_; }
  // Adds names and inodes. Calls `go_on` now and then, and stops if it says so.
  Status PutRows(const Source& source, const std::function<bool()>& go_on);
  // Step 2.
  Status Finish();
  // In step 3: the layer becomes sealed, the packs are published.
  Status Publish(catalog::Writer& writer, uint64_t logical_bytes) const;
  // Instead of step 3: removes all of it. Nothing else may follow.
  Status Abandon(chunk::PackReader& packs);

  LayerId id() const { return id_; }
  InodeNumber root() const { return InoOf(0); }
  const ChunkSink::Counts& counts() const { return counts_; }  // after Finish

 private:
  Status PutRow(catalog::Writer& writer, const Source& source, uint32_t entry) const;

  os::Storage& storage_;
  catalog::Catalog& catalog_;
  const StorePaths& paths_;
  const chunk::Compression compression_;

  LayerId id_;
  std::vector<InodeNumber> first_inos_;  // of each kInodesPerBatch entries
  std::unique_ptr<ChunkSink> sink_;
  // The results of Finish, kept because Publish, inside a transaction, must not call the sink,
  // whose own transactions begin under its lock.
  std::vector<PackId> packs_;
  ChunkSink::Counts counts_;
};

}  // namespace velafs::store
