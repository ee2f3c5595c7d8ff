// Looks for damage in a store, and repairs it if the repair loses nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/os/storage.h"

namespace velafs::store {

struct StoreContext;
struct StorePaths;

struct ScrubOptions {
  bool repair = false;
  bool dry_run = false;          // reports what `repair` would do, and does nothing
  bool restore_catalog = false;  // with `repair`: from a copy even when the catalog can be opened
};

struct ScrubProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
};
// Called now and then; returning false cancels the scrub.
using ScrubProgressFn = std::function<bool(const ScrubProgress&)>;

// A file that damage is in, and who sees it there.
struct DamagedFile {
  std::string path;                // from the branch's top directory on
  std::vector<std::string> names;  // of branches, and of bookmarks as BRANCH@NAME
};

struct Damage {
  // catalog: the catalog's own rules. pack: a missing pack, its header, or bytes of it that are not
  // a record. record: the header of a record whose chunk is whole. chunk: lost content. index: the
  // catalog's list of chunks. map, page_file: a layer's files. orphan: a file of a later catalog.
  enum class Kind { kCatalog, kPack, kRecord, kChunk, kIndex, kMap, kPageFile, kOrphan };
  Kind kind;
  std::string what;  // "pack 3 at 81920: chunk ab12... does not match its SHA-256"
  std::optional<PackId> pack;
  std::optional<uint64_t> offset_bytes;  // in the pack
  std::optional<ChunkId> chunk;
  std::optional<LayerId> layer;
  std::vector<DamagedFile> files;  // by path
};
const char* DamageKindName(Damage::Kind kind);

struct ScrubReport {
  uint64_t packs_checked = 0;
  uint64_t chunks_checked = 0;
  uint64_t bytes_checked = 0;  // of packs
  uint64_t layers_checked = 0;
  uint64_t page_files_checked = 0;
  std::vector<Damage> corrupt;        // damage that has not been repaired
  std::vector<std::string> repaired;  // actions that were taken, or would be in a dry run
  std::vector<std::string>
      left_over;  // by interrupted commands: harmless, removed at the next open
};

// The parts that a scrub works on.
struct ScrubTarget {
  os::Storage& storage;
  const StorePaths& paths;
  // Those of a store that is open and in use; all null for one that is not.
  catalog::Catalog* catalog = nullptr;
  chunk::PackReader* packs = nullptr;
  SharedMutex* verbs_mutex = nullptr;  // held alone, keeps layers from coming and going
};

// Corrupt only if not even a repair could open the catalog; Failed if its schema is of a later
// version; "cancelled" if the progress function said so. Findings are not a failure.
//
// The caller holds the store's lock; if the store is not open, nothing is recovered or removed
// first. Memory: a few megabytes, some bytes for each pack, and the findings.
Result<ScrubReport> Scrub(const ScrubTarget& target, const ScrubOptions& options,
                          const ScrubProgressFn& progress);

// Scrub of a store that is open and in use. One at a time: a second one waits for the first.
Result<ScrubReport> ScrubOpenStore(StoreContext& context, const ScrubOptions& options,
                                   const ScrubProgressFn& progress);

// Scrubs the store at `directory`, which nobody has open. Fails as Store::Open does if there is no
// store, or another process has it open.
Result<ScrubReport> ScrubClosedStore(const std::string& directory, const ScrubOptions& options,
                                     const ScrubProgressFn& progress,
                                     os::Storage& storage = os::HostStorage());

}  // namespace velafs::store
