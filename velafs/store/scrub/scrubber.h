// The parts of a scrub, and the data that they share. Internal to scrub*.cc and repair.cc.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "velafs/catalog/observer.h"
#include "velafs/chunk/pack_scan.h"
#include "velafs/store/catalog_copies.h"
#include "velafs/store/paths.h"
#include "velafs/store/scrub/scrub.h"

namespace velafs::store {

// Which parts of one file in one layer are damaged: chunks by their number in the file, or, when
// empty, all of it.
using DamagedChunks = std::set<uint64_t>;
struct FileInLayer {
  LayerId layer;
  InodeNumber ino;
  auto operator<=>(const FileInLayer&) const = default;
};

// One finding, with the data for its repair.
struct Finding {
  Damage damage;
  std::map<FileInLayer, DamagedChunks> uses;
  enum class Repair { kNone, kPutChunks, kRewriteRecord, kRewritePackHeader, kCutPack, kSetAside };
  Repair repair = Repair::kNone;
  std::vector<catalog::Reader::ChunkRow> rows;  // for kPutChunks and kRewriteRecord
  std::string path;                             // for kSetAside
};

// One thread.
class Scrubber {
 public:
  Scrubber(const ScrubTarget& target, const ScrubOptions& options, const ScrubProgressFn& progress);

  Result<ScrubReport> Run();

 private:
  // The chunks of a pack according to the index, and according to the pack.
  struct Tally {
    uint64_t count = 0;
    uint64_t sum = 0;  // of the chunks' ids
    void Add(const ChunkId& id);
    bool operator==(const Tally&) const = default;
  };

  bool is_open() const { return target_.catalog != nullptr; }
  chunk::PackReader& packs() { return is_open() ? *target_.packs : *own_packs_; }
  Status Report(uint64_t bytes_done);  // to the progress function; fails when it says so
  Finding& Add(Damage::Kind kind, std::string what);
  Finding& AddChunk(Damage::Kind kind, const ChunkId& id, const ChunkLocation& location,
                    const std::string& what);
  // Runs one part. That the catalog fails it is a finding, and the next part is run.
  Status RunPart(Status (Scrubber::*part)());

  // scrub.cc
  void Distrust(const Finding& finding);
  Status OpenCatalog();
  Status CheckCatalog();
  // scrub_packs.cc
  Status CheckPacks();
  Status CheckPack(PackId pack);
  void AddStretch(PackId pack, const chunk::PackPiece& piece);
  Status LookUp(const std::vector<chunk::PackPiece>& records);
  Status CheckIndex();
  Status ForEachRow(const std::function<Status(const catalog::Reader::ChunkRow&)>& visit);
  Status CheckRow(const catalog::Reader::ChunkRow& row);
  Status CheckManifests();
  Status CheckManifest(catalog::Reader& reader, const catalog::Reader::ManifestRow& manifest);
  Finding& AddUnlisted(const ChunkId& id);
  void SettleStretches();
  // scrub_layers.cc
  Status CheckLayers();
  Status CheckLayer(LayerId layer);
  Status CheckOrphans();
  void AddOrphan(const std::string& name, const std::string& path, bool is_later);
  // scrub_uses.cc
  Status NameFiles();
  // repair.cc
  Status Repair();
  Result<std::string> RepairOne(const Finding& finding);
  Status SetAside(const std::string& path);
  Status PutChunks(const std::vector<catalog::Reader::ChunkRow>& rows);
  Status RemoveGarbage(const std::string& path);
  // Keeps a finding if there is no good copy.
  Status RestoreCatalog();
  Result<std::optional<CatalogCopy>> DraftFromCopy(const std::string& draft);
  Status PrepareDraft(const std::string& draft);
  Status RemoveDraft(const std::string& draft);
  Status RaiseIds();
  Result<catalog::Catalog*> CatalogForChange();

  const ScrubTarget& target_;
  const ScrubOptions& options_;
  const ScrubProgressFn& progress_;
  ScrubReport report_;
  std::unique_ptr<catalog::Observer> catalog_;
  bool is_catalog_sound_ = false;
  std::unique_ptr<chunk::PackReader> own_packs_;  // of a store that is not open
  std::vector<std::unique_ptr<Finding>> findings_;

  ScrubProgress done_;
  std::map<PackId, Tally> packs_;  // of those scanned, what their records are
  std::unordered_map<ChunkId, ChunkLocation>
      elsewhere_;  // sound records the index does not point at
  std::unordered_map<ChunkId, Finding*> damaged_chunks_;  // of which manifests are to be found
  std::map<PackId, Finding*> unlisted_;                   // by pack: chunks the index lacks
  std::map<PackId, Finding*> missing_packs_;
  struct Stretch {
    PackId pack;
    uint64_t offset_bytes;
    uint64_t length_bytes;
    Finding* finding;
  };
  std::vector<Stretch> stretches_;  // of packs, in which there is no record

  std::vector<std::string> garbage_;  // paths that the next open would remove
  std::string aside_;                 // lost+found/<time>, once something was put there
  std::unique_ptr<catalog::Catalog> own_catalog_;
};

}  // namespace velafs::store
