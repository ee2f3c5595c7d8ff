// Scrubber: packs, the index of their chunks, and the manifests.
#include <cerrno>
#include <cstring>
#include <utility>

#include "velafs/chunk/pack_scan.h"
#include "velafs/store/scrub/scrubber.h"

namespace velafs::store {
namespace {

using catalog::Reader;
using DamageKind = Damage::Kind;

constexpr size_t kRecordsPerLookup = 256;
constexpr uint64_t kRowsPerStep = 1000;
constexpr uint64_t kManifestsPerStep = 8;

std::string Place(PackId pack, uint64_t offset_bytes) {
  return "pack " + std::to_string(pack.value) + " at " + std::to_string(offset_bytes);
}

std::string Place(const ChunkLocation& location) {
  return Place(location.pack, location.offset_bytes);
}

}  // namespace

void Scrubber::Tally::Add(const ChunkId& id) {
  uint64_t word;
  std::memcpy(&word, id.bytes.data(), sizeof word);
  ++count;
  sum += word;
}

Finding& Scrubber::AddChunk(DamageKind kind, const ChunkId& id, const ChunkLocation& location,
                            const std::string& what) {
  Finding& finding = Add(kind, Place(location) + ": " + what);
  finding.damage.pack = location.pack;
  finding.damage.offset_bytes = location.offset_bytes;
  finding.damage.chunk = id;
  damaged_chunks_[id] = &finding;
  return finding;
}

Status Scrubber::CheckPacks() {
  std::vector<PackId> packs;
  VELAFS_TRY(catalog_->Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto rows, reader.Packs());
    for (const Reader::PackRow& row : rows) {
      if (row.published) packs.push_back(row.id);
    }
    return {};
  }));
  for (const PackId pack : packs) {
    const auto info = target_.storage.Stat(chunk::PackPath(target_.paths.Packs(), pack));
    if (info.ok()) done_.bytes_total += info->size_bytes;
  }
  for (const PackId pack : packs) VELAFS_TRY(CheckPack(pack));
  return {};
}

Status Scrubber::CheckPack(PackId pack) {
  packs_[pack];
  std::vector<chunk::PackPiece> records;
  const auto visit = [&](const chunk::PackPiece& piece) -> Status {
    report_.bytes_checked += piece.length_bytes;
    VELAFS_TRY(Report(piece.length_bytes));
    if (!piece.record) {
      AddStretch(pack, piece);
      return {};
    }
    records.push_back(piece);
    if (records.size() < kRecordsPerLookup) return {};
    return LookUp(std::exchange(records, {}));
  };
  const Status scanned = chunk::ScanPack(target_.storage, target_.paths.Packs(), pack, visit);
  VELAFS_TRY(LookUp(records));
  ++report_.packs_checked;
  if (scanned.error_number() == ENOENT) {
    missing_packs_.emplace(pack, nullptr);  // a finding once the index has chunks in it
    return {};
  }
  return scanned;
}

void Scrubber::AddStretch(PackId pack, const chunk::PackPiece& piece) {
  const bool is_header = piece.offset_bytes == 0;
  Finding& finding =
      Add(DamageKind::kPack, Place(pack, piece.offset_bytes) + ": " + piece.sound.message());
  finding.damage.pack = pack;
  finding.damage.offset_bytes = piece.offset_bytes;
  if (is_header) {
    finding.repair = Finding::Repair::kRewritePackHeader;
  } else {
    stretches_.push_back({pack, piece.offset_bytes, piece.length_bytes, &finding});
  }
}

Status Scrubber::LookUp(const std::vector<chunk::PackPiece>& records) {
  if (records.empty()) return {};
  return catalog_->Read([&](Reader& reader) -> Status {
    for (const chunk::PackPiece& piece : records) {
      const auto& [id, location] = *piece.record;
      ++report_.chunks_checked;
      VELAFS_ASSIGN(const std::optional<ChunkLocation> row, reader.Chunk(id));
      const bool is_listed = row == location;
      if (is_listed) packs_[location.pack].Add(id);
      if (piece.sound.ok()) {
        if (!is_listed) elsewhere_.emplace(id, location);
      } else if (is_listed) {
        AddChunk(DamageKind::kChunk, id, location, piece.sound.message());
      } else {
        // Nobody's: another copy of the chunk is used, or none.
        Add(DamageKind::kPack, Place(location) + ": " + piece.sound.message()).damage.pack =
            location.pack;
      }
    }
    return {};
  });
}

// Every record whose row is right has been counted by pack. Where the rows of a pack count to the
// same, they are just those; only the other packs' rows are looked at one by one.
Status Scrubber::CheckIndex() {
  std::map<PackId, Tally> rows_of;
  VELAFS_TRY(ForEachRow([&](const Reader::ChunkRow& row) -> Status {
    rows_of[row.location.pack].Add(row.id);
    return {};
  }));
  std::set<PackId> known;
  VELAFS_TRY(catalog_->Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(const auto packs, reader.Packs());
    for (const Reader::PackRow& pack : packs) known.insert(pack.id);
    return {};
  }));
  std::set<PackId> suspects;
  for (const auto& [pack, rows] : rows_of) {
    const auto scanned = packs_.find(pack);
    // A pack that is not known to be published is an import's that is under way.
    const bool is_right = scanned != packs_.end() ? scanned->second == rows : known.contains(pack);
    if (!is_right) suspects.insert(pack);
  }
  if (suspects.empty()) return {};
  return ForEachRow([&](const Reader::ChunkRow& row) -> Status {
    return suspects.contains(row.location.pack) ? CheckRow(row) : Status();
  });
}

Status Scrubber::ForEachRow(const std::function<Status(const Reader::ChunkRow&)>& visit) {
  ChunkId after;
  while (true) {
    VELAFS_TRY(Report(0));
    VELAFS_ASSIGN(const std::vector<Reader::ChunkRow> rows, catalog_->Read([&](Reader& reader) {
      return reader.ChunksAfter(after, kRowsPerStep);
    }));
    for (const Reader::ChunkRow& row : rows) VELAFS_TRY(visit(row));
    if (rows.size() < kRowsPerStep) return {};
    after = rows.back().id;
  }
}

Status Scrubber::CheckRow(const Reader::ChunkRow& row) {
  const ChunkId& id = row.id;
  const ChunkLocation& location = row.location;
  if (damaged_chunks_.contains(id)) return {};
  // Others may have moved the chunk since.
  VELAFS_ASSIGN(const std::optional<ChunkLocation> now,
                catalog_->Read([&](Reader& reader) { return reader.Chunk(id); }));
  if (now != location) return {};
  const Status verified = packs().Verify(location, id);
  if (verified.ok()) return {};
  const std::string name = "chunk " + id.ToHex();
  std::vector<std::byte> content(location.raw_bytes);
  if (location.offset_bytes >= 2 * chunk::kRecordHeaderBytes &&
      packs().ReadVerified(location, id, 0, content).ok()) {
    Finding& finding = AddChunk(DamageKind::kRecord, id, location,
                                "the header of " + name + " is damaged, its content is whole");
    finding.repair = Finding::Repair::kRewriteRecord;
    finding.rows = {row};
    return {};
  }
  if (const auto found = elsewhere_.find(id); found != elsewhere_.end()) {
    Finding& finding = AddChunk(DamageKind::kIndex, id, location,
                                name + " is not there, but in " + Place(found->second));
    finding.repair = Finding::Repair::kPutChunks;
    finding.rows = {{id, found->second}};
    return {};
  }
  const auto missing = missing_packs_.find(location.pack);
  if (missing == missing_packs_.end()) {
    AddChunk(DamageKind::kChunk, id, location, name + " is not there, nor anywhere else");
    return {};
  }
  if (missing->second == nullptr) {
    missing->second =
        &Add(DamageKind::kPack, "pack " + std::to_string(location.pack.value) + " is missing");
    missing->second->damage.pack = location.pack;
  }
  damaged_chunks_[id] = missing->second;
  return {};
}

Status Scrubber::CheckManifests() {
  std::vector<Reader::ManifestRow> manifests;
  Reader::ManifestRow after;
  do {
    VELAFS_TRY(Report(0));
    VELAFS_TRY(catalog_->Read([&](Reader& reader) -> Status {
      VELAFS_ASSIGN(manifests, reader.ManifestsAfter(after, kManifestsPerStep));
      for (const auto& manifest : manifests) VELAFS_TRY(CheckManifest(reader, manifest));
      return {};
    }));
    if (!manifests.empty()) after = std::move(manifests.back());
  } while (manifests.size() == kManifestsPerStep);
  return {};
}

Status Scrubber::CheckManifest(Reader& reader, const Reader::ManifestRow& manifest) {
  for (size_t i = 0; i < manifest.chunks.size(); ++i) {
    const ChunkId& id = manifest.chunks[i];
    if (id.IsZeros()) continue;
    auto found = damaged_chunks_.find(id);
    if (found == damaged_chunks_.end()) {
      VELAFS_ASSIGN(const std::optional<ChunkLocation> row, reader.Chunk(id));
      if (row) continue;
      found = damaged_chunks_.emplace(id, &AddUnlisted(id)).first;
    }
    found->second->uses[{manifest.layer, manifest.ino}].insert(
        manifest.part * catalog::kChunksPerPart + i);
  }
  return {};
}

// A chunk that a file needs and the index does not have.
Finding& Scrubber::AddUnlisted(const ChunkId& id) {
  const auto found = elsewhere_.find(id);
  if (found == elsewhere_.end()) {
    Finding& finding = Add(DamageKind::kChunk, "chunk " + id.ToHex() + " is in no pack");
    finding.damage.chunk = id;
    return finding;
  }
  // One finding for each pack: it may be all of its chunks.
  const PackId pack = found->second.pack;
  Finding*& finding = unlisted_[pack];
  if (finding == nullptr) {
    finding = &Add(DamageKind::kIndex, "");
    finding->damage.pack = pack;
    finding->repair = Finding::Repair::kPutChunks;
  }
  finding->rows.push_back({id, found->second});
  finding->damage.what = "the catalog's index lacks " + std::to_string(finding->rows.size()) +
                         " of the chunks of pack " + std::to_string(pack.value);
  return *finding;
}

// A stretch without records is not told on its own where a chunk should be: that is told already.
// One at the end of a pack that nothing refers to may be cut off.
void Scrubber::SettleStretches() {
  for (const Stretch& stretch : stretches_) {
    const uint64_t end = stretch.offset_bytes + stretch.length_bytes;
    const bool is_told = std::any_of(findings_.begin(), findings_.end(), [&](const auto& finding) {
      const Damage& damage = finding->damage;
      return damage.chunk && damage.pack == stretch.pack && *damage.offset_bytes > 0 &&
             *damage.offset_bytes >= stretch.offset_bytes && *damage.offset_bytes <= end;
    });
    if (is_told) {
      std::erase_if(findings_,
                    [&](const auto& finding) { return finding.get() == stretch.finding; });
      continue;
    }
    const auto info = target_.storage.Stat(chunk::PackPath(target_.paths.Packs(), stretch.pack));
    if (info.ok() && end == info->size_bytes) {
      stretch.finding->repair = Finding::Repair::kCutPack;
    }
  }
}

}  // namespace velafs::store
