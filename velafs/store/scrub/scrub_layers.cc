// Scrubber: page files and their maps, and what lies in the store that its catalog does not know.
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "velafs/layer/page_map.h"
#include "velafs/store/numbered_file.h"
#include "velafs/store/scrub/scrubber.h"

namespace velafs::store {
namespace {

using catalog::LayerState;
using DamageKind = Damage::Kind;

// A layer in use changes under our eyes: what looks damaged is looked at again.
constexpr int kLooks = 4;
constexpr auto kBetweenLooks = std::chrono::milliseconds(100);

struct PageFileOnDisk {
  std::optional<uint64_t> size_bytes;  // of the page file; none when there is none
  bool has_map = false;
  bool is_map_written = false;
  uint64_t inherited_bytes = 0;
  Status map_status;
};
using LayerOnDisk = std::map<InodeNumber, PageFileOnDisk>;

struct LayerDamage {
  DamageKind kind;
  InodeNumber ino;
  std::string what;
};

Status ReadMap(os::Storage& storage, const std::string& path, LayerId layer, InodeNumber ino,
               PageFileOnDisk* file) {
  const auto map_file = storage.Open(path, os::OpenMode::kRead);
  if (map_file.status().error_number() == ENOENT) return {};  // it was there a moment ago
  file->has_map = true;
  layer::PageMap::Block header{};
  const Result<size_t> got =
      map_file.ok() ? (*map_file)->Read(0, header) : Result<size_t>(map_file.status());
  if (!got.ok()) {
    file->is_map_written = true;
    file->map_status = Corrupt(got.status().message());
    return {};
  }
  file->is_map_written = *got == header.size() && !chunk::IsZeros(header);
  if (!file->is_map_written) return {};
  const auto map = layer::PageMap::Load(layer, ino, **map_file);
  if (map.ok()) {
    file->inherited_bytes = map->inherited_bytes();
  } else {
    file->map_status = Corrupt(map.status().message());
  }
  return {};
}

// What the layer's directory holds; nothing when there is none.
Result<LayerOnDisk> ReadLayer(os::Storage& storage, const std::string& directory, LayerId layer) {
  LayerOnDisk files;
  const auto entries = storage.List(directory);
  if (entries.status().error_number() == ENOENT) return files;
  VELAFS_TRY(entries.status());
  for (const os::DirectoryEntry& entry : *entries) {
    const std::string path = directory + "/" + entry.name;
    if (const InodeNumber ino(NumberOf(entry.name, ".map")); ino) {
      VELAFS_TRY(ReadMap(storage, path, layer, ino, &files[ino]));
    } else if (const InodeNumber page_file(NumberOf(entry.name, "")); page_file) {
      const auto info = storage.Stat(path);
      if (info.ok()) files[page_file].size_bytes = info->size_bytes;
      if (!info.ok() && info.status().error_number() != ENOENT) return info.status();
    }
  }
  return files;
}

// What the catalog says of a layer's inodes.
struct LayerInCatalog {
  catalog::LayerRow row;
  std::map<InodeNumber, catalog::InodeRow> inodes;
  std::set<InodeNumber> known;  // of those on disk: in this layer or another
};

bool IsGone(const LayerInCatalog& layer, InodeNumber ino) {
  const auto found = layer.inodes.find(ino);
  return found != layer.inodes.end() && found->second.nlink == 0;
}

bool IsSealed(const LayerInCatalog& layer, InodeNumber ino) {
  const auto found = layer.inodes.find(ino);
  return found != layer.inodes.end() && found->second.inherited_bytes.has_value();
}

bool IsBornHere(const LayerInCatalog& layer, InodeNumber ino) {
  const auto found = layer.inodes.find(ino);
  return found != layer.inodes.end() && found->second.born_here;
}

// Page files of deleted files may lie about for a moment, or after a crash. In a layer that is not
// settled, so may page files without maps, and maps without page files: see DURABILITY.md; and
// either of a file that was sealed.
std::vector<LayerDamage> Compare(const LayerOnDisk& disk, const LayerInCatalog& layer) {
  std::vector<LayerDamage> found;
  const bool is_settled = layer.row.is_settled;
  for (const auto& [ino, file] : disk) {
    if (!layer.known.contains(ino) || IsGone(layer, ino)) continue;
    if (!file.map_status.ok()) {
      found.push_back({DamageKind::kMap, ino, file.map_status.message()});
    } else if (!is_settled || (IsSealed(layer, ino) && !(file.size_bytes && file.is_map_written))) {
      continue;
    } else if (!file.size_bytes) {
      found.push_back({DamageKind::kPageFile, ino, "the page file is missing"});
    } else if (IsBornHere(layer, ino)) {
      continue;
    } else if (!file.is_map_written) {
      found.push_back({DamageKind::kMap, ino, "the page map is missing"});
    } else if (*file.size_bytes < file.inherited_bytes) {
      found.push_back({DamageKind::kPageFile, ino, "the page file is shorter than its map says"});
    }
  }
  if (!is_settled || layer.row.state == LayerState::kSealed) return found;
  for (const auto& [ino, row] : layer.inodes) {
    const bool has_page_file =
        row.born_here && S_ISREG(row.mode) && row.nlink > 0 && !row.inherited_bytes;
    if (has_page_file && !disk.contains(ino)) {
      found.push_back({DamageKind::kPageFile, ino, "the page file is missing"});
    }
  }
  return found;
}

}  // namespace

Status Scrubber::CheckLayers() {
  VELAFS_ASSIGN(const std::vector<catalog::LayerRow> layers,
                catalog_->Read(&catalog::Reader::Layers));
  for (const catalog::LayerRow& row : layers) {
    VELAFS_TRY(Report(0));
    if (row.state == LayerState::kImporting) continue;
    VELAFS_TRY(CheckLayer(row.id));
    ++report_.layers_checked;
  }
  return {};
}

Status Scrubber::CheckLayer(LayerId id) {
  const std::string directory = target_.paths.Layers() + "/" + std::to_string(id.value);
  std::vector<LayerDamage> found;
  size_t page_files = 0;
  for (int look = 0; look < kLooks; ++look) {
    if (look > 0) std::this_thread::sleep_for(kBetweenLooks);
    // The disk first: what the catalog says afterwards was so before, or is later than what was
    // seen.
    VELAFS_ASSIGN(const LayerOnDisk disk, ReadLayer(target_.storage, directory, id));
    page_files = disk.size();
    LayerInCatalog layer;
    bool is_there = false;
    VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(const auto row, reader.FindLayer(id));
      is_there = row.has_value();
      if (!is_there) return {};
      layer.row = *row;
      VELAFS_ASSIGN(const auto rows, reader.InodesOf(id));
      for (const catalog::InodeRow& row : rows) layer.inodes.emplace(row.ino, row);
      for (const auto& [ino, file] : disk) {
        VELAFS_ASSIGN(const auto said, reader.Inodes(ino));
        if (!said.empty()) layer.known.insert(ino);
      }
      return {};
    }));
    if (!is_there) return {};  // deleted meanwhile
    found = Compare(disk, layer);
    if (found.empty() || !is_open()) break;
  }
  report_.page_files_checked += page_files;
  for (const LayerDamage& damage : found) {
    Finding& finding = Add(damage.kind, "layer " + std::to_string(id.value) + ", inode " +
                                            std::to_string(damage.ino.value) + ": " + damage.what);
    finding.damage.layer = id;
    finding.uses[{id, damage.ino}];
  }
  return {};
}

// A higher id than was ever given is that of a catalog later than this one: what lies there is
// somebody's. Anything else that is not known was left by a command that was interrupted.
Status Scrubber::CheckOrphans() {
  const auto check = [this]() -> Status {
    VELAFS_ASSIGN(const auto layers, target_.storage.List(target_.paths.Layers()));
    VELAFS_ASSIGN(const auto packs, target_.storage.List(target_.paths.Packs()));
    std::set<uint64_t> known_layers;
    std::set<uint64_t> known_packs;
    catalog::GivenIds last;
    VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(last, reader.LastIds());
      VELAFS_ASSIGN(const auto layer_rows, reader.Layers());
      VELAFS_ASSIGN(const auto pack_rows, reader.Packs());
      for (const auto& row : layer_rows) {
        if (row.state != LayerState::kImporting || is_open()) known_layers.insert(row.id.value);
        if (row.state == LayerState::kImporting && !is_open()) {
          report_.left_over.push_back("layer " + std::to_string(row.id.value) +
                                      " of an import that did not finish");
        }
      }
      for (const auto& row : pack_rows) {
        known_packs.insert(row.id.value);
        if (!row.published && !is_open()) {
          report_.left_over.push_back("pack " + std::to_string(row.id.value) +
                                      " of an import that did not finish");
        }
      }
      return {};
    }));
    for (const os::DirectoryEntry& entry : layers) {
      const uint64_t id = NumberOf(entry.name, "");
      if (id == 0 || known_layers.contains(id)) continue;
      AddOrphan("layer " + entry.name, target_.paths.Layers() + "/" + entry.name,
                id > last.layer.value);
    }
    for (const os::DirectoryEntry& entry : packs) {
      const uint64_t id = NumberOf(entry.name, ".pack");
      if (id == 0 || known_packs.contains(id)) continue;
      AddOrphan("pack " + std::to_string(id), target_.paths.Packs() + "/" + entry.name,
                id > last.pack.value);
    }
    return {};
  };
  if (!is_open()) return check();
  WriterLock lock(*target_.verbs_mutex);
  return check();
}

void Scrubber::AddOrphan(const std::string& name, const std::string& path, bool is_later) {
  if (!is_later) {
    garbage_.push_back(path);
    report_.left_over.push_back(name + ", which the catalog no longer knows");
    return;
  }
  Finding& finding = Add(DamageKind::kOrphan, name + " is of a later catalog than this one");
  finding.repair = Finding::Repair::kSetAside;
  finding.path = path;
}

}  // namespace velafs::store
