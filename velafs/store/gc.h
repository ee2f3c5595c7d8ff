// Garbage collection: gives back the space of chunks that no layer uses any more.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/os/storage.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

// A chunk is in use while a manifest names it; a manifest goes with its layer. A pack without a
// chunk in use is removed; if a quarter or more of a pack is garbage, its used chunks move to a new
// pack, and so do those of small packs if there are many. Chunks that are not in use stay in the
// other packs, and in the catalog: a later import may share them.
//
// Nothing may add manifests meanwhile; everything else goes on, also reads of the moving chunks.
// Memory: 8 bytes for each chunk in use, 128 MiB for a terabyte. A crash leaves every chunk where
// the catalog says it is, and garbage for the next run.
class GarbageCollector {
 public:
  GarbageCollector(os::Storage& storage, catalog::Catalog& catalog, chunk::PackReader& packs,
                   std::string packs_directory);

  // Stops, between two packs, if `progress` says so: space freed by then stays freed.
  Result<GcResult> Run(bool dry_run, const GcProgressFn& progress);

 private:
  using Packs = std::vector<PackId>;
  struct PackUse {
    uint64_t file_bytes = 0;
    uint64_t used_bytes = 0;  // records of chunks in use
    uint64_t garbage_bytes() const { return file_bytes > used_bytes ? file_bytes - used_bytes : 0; }
    bool IsWorthIt() const;
  };
  // A chunk the catalog has in the pack at hand.
  struct Moved {
    ChunkId id;
    ChunkLocation from;
    ChunkLocation to;
  };
  struct PackContent {
    std::vector<Moved> used;
    std::vector<ChunkId> garbage;
  };

  Status FindUsedChunks();
  bool IsUsed(const ChunkId& id) const;
  Status MeasurePacks();
  // In groups, of which each becomes one pack; those that need no room first.
  std::vector<Packs> PacksWorthIt() const;
  GcResult WouldFree(const std::vector<Packs>& groups) const;
  uint64_t FileBytes(const Packs& packs) const;

  // Notes damage in the result, and frees the others.
  Status FreeSound(const Packs& packs, GcResult* result);
  Status Free(const Packs& packs, GcResult* result);
  Result<PackContent> ContentOf(PackId pack);
  // Copies the used chunks to a new pack, durable and published on return. Makes no pack if none is
  // in use.
  Status CopyUsed(std::vector<Moved>* chunks);
  Status FillPack(PackId pack, std::vector<Moved>* chunks);
  Status ForgetPack(PackId pack, const std::vector<ChunkId>& garbage);

  os::Storage& storage_;
  catalog::Catalog& catalog_;
  chunk::PackReader& packs_;
  const std::string packs_directory_;
  // The first 8 bytes of the ids of all chunks in use, sorted. Two ids that begin alike, one in use
  // and one not, keep a chunk too many.
  std::vector<uint64_t> used_;
  std::map<PackId, PackUse> uses_;
};

}  // namespace velafs::store
