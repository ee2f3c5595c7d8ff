// Scrubber: repairs. Nothing that could be somebody's data is removed: it is put aside, in
// STORE/lost+found/<time>/, under the path it had in the store.
#include <algorithm>
#include <cerrno>

#include "velafs/chunk/pack_scan.h"
#include "velafs/store/catalog_copies.h"
#include "velafs/store/numbered_file.h"
#include "velafs/store/scrub/scrubber.h"

namespace velafs::store {
namespace {

using catalog::Reader;

constexpr size_t kChunksPerTransaction = 1000;
constexpr size_t kCopyBytes = 1 << 20;
// Numbers given since the copy was made may have left nothing on disk to know them by.
constexpr uint64_t kSkippedInodes = 1 << 16;
constexpr uint64_t kSkippedInstances = 1 << 10;

Status MakeDirectoryIfNone(os::Storage& storage, const std::string& path) {
  Status made = storage.MakeDirectory(path, 0700);
  return made.error_number() == EEXIST ? Status() : made;
}

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The names in a directory that may be missing.
Result<std::vector<std::string>> NamesIn(os::Storage& storage, const std::string& path) {
  std::vector<std::string> names;
  const auto entries = storage.List(path);
  if (entries.status().error_number() == ENOENT) return names;
  VELAFS_TRY(entries.status());
  for (const os::DirectoryEntry& entry : *entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

Status CopyFile(os::Storage& storage, const std::string& from, const std::string& to) {
  VELAFS_ASSIGN(const auto source, storage.Open(from, os::OpenMode::kRead));
  VELAFS_ASSIGN(const auto target, storage.Open(to, os::OpenMode::kCreateNew));
  std::vector<std::byte> buffer(kCopyBytes);
  for (uint64_t at = 0;;) {
    VELAFS_ASSIGN(const size_t got, source->Read(at, buffer));
    VELAFS_TRY(target->Write(at, std::span(buffer).first(got)));
    at += got;
    if (got < buffer.size()) break;
  }
  return target->Sync(os::SyncKind::kFull);
}

// The highest ids that the store's directories show, those put aside earlier among them.
Result<catalog::GivenIds> IdsOnDisk(os::Storage& storage, const StorePaths& paths) {
  catalog::GivenIds ids;
  std::vector<std::string> roots = {paths.root};
  VELAFS_ASSIGN(const auto aside, NamesIn(storage, paths.LostAndFound()));
  for (const std::string& name : aside) roots.push_back(paths.LostAndFound() + "/" + name);
  for (const std::string& root : roots) {
    const StorePaths parts(root);
    VELAFS_ASSIGN(const auto packs, NamesIn(storage, parts.Packs()));
    for (const std::string& name : packs) {
      ids.pack = std::max(ids.pack, PackId(NumberOf(name, ".pack")));
    }
    VELAFS_ASSIGN(const auto layers, NamesIn(storage, parts.Layers()));
    for (const std::string& layer : layers) {
      ids.layer = std::max(ids.layer, LayerId(NumberOf(layer, "")));
      VELAFS_ASSIGN(const auto files, NamesIn(storage, parts.Layers() + "/" + layer));
      for (const std::string& file : files)
        ids.ino = std::max(ids.ino, InodeNumber(NumberOf(file, "")));
    }
  }
  VELAFS_ASSIGN(const auto branches, NamesIn(storage, paths.Run()));
  for (const std::string& name : branches) {
    ids.branch = std::max(ids.branch, BranchId(NumberOf(name, "")));
  }
  return ids;
}

// The paths of what a catalog knows nothing of: layers, packs, and page files in layers it knows.
Result<std::vector<std::string>> UnknownTo(catalog::Observer& catalog, os::Storage& storage,
                                           const StorePaths& paths) {
  std::vector<std::string> unknown;
  VELAFS_TRY(catalog.Read([&](Reader& reader) -> Status {
    std::set<uint64_t> known_packs;
    VELAFS_ASSIGN(const auto pack_rows, reader.Packs());
    for (const Reader::PackRow& row : pack_rows) known_packs.insert(row.id.value);
    VELAFS_ASSIGN(const auto packs, NamesIn(storage, paths.Packs()));
    for (const std::string& name : packs) {
      const uint64_t id = NumberOf(name, ".pack");
      if (id != 0 && !known_packs.contains(id)) unknown.push_back(paths.Packs() + "/" + name);
    }
    VELAFS_ASSIGN(const auto layers, NamesIn(storage, paths.Layers()));
    for (const std::string& layer : layers) {
      const uint64_t id = NumberOf(layer, "");
      const std::string directory = paths.Layers() + "/" + layer;
      if (id == 0) continue;
      VELAFS_ASSIGN(const auto row, reader.FindLayer(LayerId(id)));
      if (!row) {
        unknown.push_back(directory);
        continue;
      }
      VELAFS_ASSIGN(const auto files, NamesIn(storage, directory));
      for (const std::string& file : files) {
        const uint64_t ino = std::max(NumberOf(file, ""), NumberOf(file, ".map"));
        if (ino == 0) continue;
        VELAFS_ASSIGN(const auto said, reader.Inodes(InodeNumber(ino)));
        if (said.empty()) unknown.push_back(directory + "/" + file);
      }
    }
    return {};
  }));
  return unknown;
}

}  // namespace

Status Scrubber::SetAside(const std::string& path) {
  os::Storage& storage = target_.storage;
  if (aside_.empty()) {
    VELAFS_TRY(MakeDirectoryIfNone(storage, target_.paths.LostAndFound()));
    const std::string time = FormatTime(NowNs());
    for (int i = 1; aside_.empty(); ++i) {
      const std::string wanted = target_.paths.LostAndFound() + "/" + time +
                                 (i == 1 ? std::string() : "-" + std::to_string(i));
      const Status made = storage.MakeDirectory(wanted, 0700);
      if (made.ok()) aside_ = wanted;
      if (!made.ok() && made.error_number() != EEXIST) return made;
    }
    VELAFS_TRY(storage.SyncDirectory(target_.paths.LostAndFound()));
    VELAFS_TRY(storage.SyncDirectory(target_.paths.root));
  }
  const std::string below = path.substr(target_.paths.root.size());
  for (size_t slash = below.find('/', 1); slash != std::string::npos;
       slash = below.find('/', slash + 1)) {
    VELAFS_TRY(MakeDirectoryIfNone(storage, aside_ + below.substr(0, slash)));
  }
  VELAFS_TRY(storage.Rename(path, aside_ + below));
  VELAFS_TRY(storage.SyncDirectory(DirectoryOf(aside_ + below)));
  return storage.SyncDirectory(DirectoryOf(path));
}

// Order: (1) the copy, with its ids raised, is made durable under another name; (2) what it does
// not know, and what is left of the catalog, is put aside; (3) the copy gets the catalog's name. A
// crash before (3) leaves a store that still has no good catalog, whose repair begins anew.
Status Scrubber::RestoreCatalog() {
  os::Storage& storage = target_.storage;
  const StorePaths& paths = target_.paths;
  const std::string draft = paths.Catalog() + ".new";
  VELAFS_ASSIGN(const std::optional<CatalogCopy> copy, DraftFromCopy(draft));
  if (!copy) {
    if (findings_.empty()) Add(Damage::Kind::kCatalog, "the catalog was to be restored");
    findings_.back()->damage.what += ", and there is no good copy of it";
    return {};
  }
  VELAFS_ASSIGN(catalog_, catalog::Observer::Open(draft));
  VELAFS_ASSIGN(const std::vector<std::string> unknown, UnknownTo(*catalog_, storage, paths));
  const std::string what = "the catalog from the copy of " + FormatTime(copy->made_at) +
                           "; what was done since is not in it";
  if (options_.dry_run) {
    report_.repaired.push_back("would have: restored " + what);
    return RemoveDraft(draft);  // it is open, and stays so
  }
  catalog_.reset();
  for (const std::string& path : unknown) VELAFS_TRY(SetAside(path));
  for (const char* suffix : {"-wal", "-shm", ""}) {
    const std::string path = paths.Catalog() + suffix;
    if (storage.Stat(path).ok()) VELAFS_TRY(SetAside(path));
  }
  VELAFS_TRY(storage.Rename(draft, paths.Catalog()));
  VELAFS_TRY(storage.SyncDirectory(paths.root));
  VELAFS_TRY(RemoveDraft(draft));  // what SQLite kept beside it
  std::erase_if(findings_,
                [](const auto& finding) { return finding->damage.kind == Damage::Kind::kCatalog; });
  report_.repaired.push_back("restored " + what);
  for (const std::string& path : unknown) {
    report_.repaired.push_back("put aside \"" + path + "\", which that copy does not know");
  }
  VELAFS_ASSIGN(catalog_, catalog::Observer::Open(paths.Catalog()));
  return {};
}

// Makes `draft` of the newest copy that is sound, and says which that is; none when none is.
Result<std::optional<CatalogCopy>> Scrubber::DraftFromCopy(const std::string& draft) {
  VELAFS_ASSIGN(const auto copies, ListCatalogCopies(target_.storage, target_.paths));
  for (const CatalogCopy& copy : copies) {
    VELAFS_TRY(RemoveDraft(draft));
    VELAFS_TRY(CopyFile(target_.storage, copy.path, draft));
    const Status sound = PrepareDraft(draft);
    if (sound.ok()) return std::optional(copy);
    if (sound.code() != Code::kCorrupt) return sound;
  }
  VELAFS_TRY(RemoveDraft(draft));
  return std::optional<CatalogCopy>();
}

// Verifies the draft, raises its ids above all that the store shows to have been given, and has the
// heads of ephemeral branches pass for changed, as they may have been since.
Status Scrubber::PrepareDraft(const std::string& draft) {
  {
    VELAFS_ASSIGN(const auto catalog, catalog::Observer::Open(draft));
    VELAFS_ASSIGN(const std::vector<std::string> found, catalog->FindDamage());
    if (!found.empty()) return Corrupt(found[0]);
  }
  VELAFS_ASSIGN(catalog::GivenIds ids, IdsOnDisk(target_.storage, target_.paths));
  {
    VELAFS_ASSIGN(const auto catalog, catalog::Catalog::Open(draft, target_.storage));
    VELAFS_ASSIGN(const auto raised, catalog->Write([&](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(const catalog::GivenIds last, writer.LastIds());
      ids.ino = InodeNumber(std::max(ids.ino, last.ino).value + kSkippedInodes);
      ids.instance = InstanceId(last.instance.value + kSkippedInstances);
      VELAFS_ASSIGN(const auto ephemerals, writer.EphemeralBranches());
      for (const catalog::BranchRow& branch : ephemerals) {
        VELAFS_TRY(writer.SetLayerSettled(branch.head, false));
      }
      return writer.RaiseIds(ids);
    }));
    VELAFS_TRY(catalog->MakeDurable(raised));
  }
  // Its log is not taken along.
  const auto log = target_.storage.Stat(draft + "-wal");
  if (!log.ok() || log->size_bytes == 0) return {};
  return Failed("cannot write \"" + draft + "\" completely");
}

Status Scrubber::RemoveDraft(const std::string& draft) {
  for (const char* suffix : {"", "-journal", "-wal", "-shm"}) {
    const Status removed = target_.storage.RemoveFile(draft + suffix);
    if (!removed.ok() && removed.error_number() != ENOENT) return removed;
  }
  return {};
}

Result<catalog::Catalog*> Scrubber::CatalogForChange() {
  if (is_open()) return target_.catalog;
  if (own_catalog_ == nullptr) {
    VELAFS_ASSIGN(own_catalog_, catalog::Catalog::Open(target_.paths.Catalog(), target_.storage));
  }
  return own_catalog_.get();
}

// What was done, or would be, with the finding; nothing when nothing can be.
Result<std::string> Scrubber::RepairOne(const Finding& finding) {
  using Repair = Finding::Repair;
  os::Storage& storage = target_.storage;
  const std::string packs = target_.paths.Packs();
  const Damage& damage = finding.damage;
  switch (finding.repair) {
    case Repair::kNone:
      return std::string();
    case Repair::kPutChunks:
      if (!options_.dry_run) VELAFS_TRY(PutChunks(finding.rows));
      return "index: put " + std::to_string(finding.rows.size()) + " chunks of pack " +
             std::to_string(finding.rows[0].location.pack.value) + " right";
    case Repair::kRewriteRecord:
      if (!options_.dry_run) {
        VELAFS_TRY(chunk::RewriteRecordHeader(storage, packs,
                                              {finding.rows[0].id, finding.rows[0].location}));
      }
      return "pack " + std::to_string(damage.pack->value) + ": wrote the header at " +
             std::to_string(*damage.offset_bytes - chunk::kRecordHeaderBytes) + " anew";
    case Repair::kRewritePackHeader:
      if (packs_[*damage.pack].count == 0) return std::string();  // it may be another pack
      if (!options_.dry_run) {
        VELAFS_TRY(chunk::RewritePackHeader(storage, packs, *damage.pack));
      }
      return "pack " + std::to_string(damage.pack->value) + ": rewrote its header";
    case Repair::kCutPack:
      if (!options_.dry_run) {
        VELAFS_TRY(chunk::CutPack(storage, packs, *damage.pack, *damage.offset_bytes));
      }
      return "pack " + std::to_string(damage.pack->value) +
             ": cut off what follows its last chunk, at " + std::to_string(*damage.offset_bytes);
    case Repair::kSetAside:
      if (!options_.dry_run) VELAFS_TRY(SetAside(finding.path));
      return "put aside \"" + finding.path + "\"";
  }
  return std::string();
}

Status Scrubber::PutChunks(const std::vector<Reader::ChunkRow>& rows) {
  VELAFS_ASSIGN(catalog::Catalog * catalog, CatalogForChange());
  catalog::CommitSequence last = 0;
  for (size_t at = 0; at < rows.size(); at += kChunksPerTransaction) {
    const size_t end = std::min(rows.size(), at + kChunksPerTransaction);
    VELAFS_ASSIGN(last, catalog->Write([&](catalog::Writer& writer) -> Status {
      for (size_t i = at; i < end; ++i) {
        VELAFS_TRY(writer.PutChunk(rows[i].id, rows[i].location));
      }
      return {};
    }));
  }
  return catalog->MakeDurable(last);
}

Status Scrubber::RemoveGarbage(const std::string& path) {
  if (!path.ends_with(".pack")) return target_.storage.RemoveTree(path);
  const Status removed = target_.storage.RemoveFile(path);
  return removed.error_number() == ENOENT ? Status() : removed;
}

// A catalog that is damaged in itself is no judge of what is right or garbage.
Status Scrubber::Repair() {
  if (!is_catalog_sound_) return {};
  const std::string would = options_.dry_run ? "would have: " : "";
  std::set<const Finding*> repaired;
  bool is_raised = false;
  for (const auto& finding : findings_) {
    // Ids first: what is put aside must not be given again by the next to open the store.
    if (finding->repair == Finding::Repair::kSetAside && !options_.dry_run && !is_raised) {
      VELAFS_TRY(RaiseIds());
      is_raised = true;
    }
    VELAFS_ASSIGN(const std::string what, RepairOne(*finding));
    if (what.empty()) continue;
    report_.repaired.push_back(would + what);
    if (!options_.dry_run) repaired.insert(finding.get());
  }
  std::erase_if(findings_, [&](const auto& finding) { return repaired.contains(finding.get()); });
  for (const std::string& path : garbage_) {
    if (!options_.dry_run) VELAFS_TRY(RemoveGarbage(path));
    report_.repaired.push_back(would + "removed \"" + path + "\", left by an interrupted command");
  }
  return {};
}

Status Scrubber::RaiseIds() {
  VELAFS_ASSIGN(const catalog::GivenIds ids, IdsOnDisk(target_.storage, target_.paths));
  VELAFS_ASSIGN(catalog::Catalog * catalog, CatalogForChange());
  VELAFS_ASSIGN(const auto raised,
                catalog->Write([&](catalog::Writer& writer) { return writer.RaiseIds(ids); }));
  return catalog->MakeDurable(raised);
}

}  // namespace velafs::store
