// Where an import's content goes: every chunk is stored once, whatever file or branch it came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "velafs/base/chunk_location.h"
#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/codec.h"
#include "velafs/chunk/packs.h"
#include "velafs/os/storage.h"

namespace velafs::store {

// The packs whose chunks a new one may share.
Result<std::set<PackId>> PublishedPacks(catalog::Catalog& catalog);

// Threads that keep a sink busy: one for each processor, and two more for while others wait for the
// disk, to read or to make a full pack durable.
unsigned ThreadsToStore();

// Thread-safe, but for Finish. After a failure nothing more may be stored, and RemoveImport must
// follow, once this is destroyed.
//
// Stores into unpublished packs and into the given layer, which nothing uses yet: until the import
// publishes both, a crash leaves nothing of them. Memory stays bounded: chunks and manifests are
// written to the catalog at once, in short transactions.
class ChunkSink {
 public:
  struct Counts {
    uint64_t chunks_new = 0;
    uint64_t chunks_shared = 0;
    uint64_t bytes_stored = 0;
  };

  // `published`: packs whose chunks may be shared. Storage and catalog are borrowed.
  ChunkSink(os::Storage& storage, catalog::Catalog& catalog, std::string packs_directory,
            LayerId layer, std::set<PackId> published, chunk::Compression compression);

  // Stores content that begins at a chunk boundary of its file; appends the ids of its chunks.
  // Calls with about 1 MiB are best.
  Status Store(std::span<const std::byte> content, std::vector<ChunkId>* ids);
  // The chunks of part `part` of a file, each stored already.
  Status PutManifest(InodeNumber ino, uint64_t part, catalog::ManifestPartRow row);

  // Once, when every other call has returned. All content is durable on return; the rows are not.
  Status Finish();

  // Packs made so far.
  std::vector<PackId> packs() const;
  Counts counts() const;

 private:
  struct Pack {
    PackId id;
    std::unique_ptr<chunk::PackWriter> writer;
    int users = 0;  // calls of Store that have room in it to fill
    bool is_full = false;
  };
  // A chunk that this call of Store has to write.
  struct Claim {
    ChunkId id;
    std::span<const std::byte> content;
    std::vector<std::byte> compressed;  // empty: stored as it is
    ChunkLocation location;
    std::shared_ptr<Pack> pack;
  };
  struct Manifest {
    InodeNumber ino;
    uint64_t part;
    catalog::ManifestPartRow row;
  };

  // Compresses chunks that seem to be new.
  Status CompressNew(std::vector<Claim>* chunks);
  // Decides which of a call's chunks are new, and allocates their places.
  Status ClaimNew(std::vector<Claim> chunks, std::vector<Claim>* claims);
  Result<std::vector<bool>> AreStored(const std::vector<Claim>& chunks) REQUIRES(mutex_);
  Result<bool> IsStored(catalog::Reader& reader, const ChunkId& id) REQUIRES(mutex_);
  Status MakeRoom() REQUIRES(mutex_);  // sets current_
  Status WriteClaims(const std::vector<Claim>& claims);
  // One user less of the pack. The last one of a full pack makes it durable and closes it.
  Status Release(const std::shared_ptr<Pack>& pack);
  Status FlushIfDue() REQUIRES(mutex_);
  Status Flush() REQUIRES(mutex_);

  os::Storage& storage_;
  catalog::Catalog& catalog_;
  const std::string packs_directory_;
  const LayerId layer_;
  const chunk::Compression compression_;

  mutable Mutex mutex_;
  std::set<PackId> usable_ GUARDED_BY(mutex_);  // published ones and this import's own
  std::vector<PackId> packs_ GUARDED_BY(mutex_);
  std::shared_ptr<Pack> current_ GUARDED_BY(mutex_);
  // Not in the catalog yet.
  std::unordered_map<ChunkId, ChunkLocation> pending_chunks_ GUARDED_BY(mutex_);
  std::vector<Manifest> pending_manifests_ GUARDED_BY(mutex_);
  size_t pending_manifest_ids_ GUARDED_BY(mutex_) = 0;
  Counts counts_ GUARDED_BY(mutex_);
};

}  // namespace velafs::store
