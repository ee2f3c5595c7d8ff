#include "velafs/layer/layer_recovery.h"

#include <sys/stat.h>

#include <charconv>
#include <unordered_map>

namespace velafs::layer {
namespace {

Result<bool> IsWorthKeeping(const VolumeParts& parts, Layer& layer,
                            const Layer::PageFileName& name) {
  std::optional<catalog::InodeRow> row;
  VELAFS_TRY(parts.catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(row, reader.Inode(layer.id(), name.ino));
    return {};
  }));
  if (!name.has_map) return row && row->born_here && row->nlink > 0;
  if (row && row->nlink == 0) return false;
  return layer.HasWrittenMap(name.ino);
}

// A file whose creation became durable, but not its page file, is what it was then. From here on a
// page file that is missing has been lost.
Status MakeLostPageFiles(const VolumeParts& parts, Layer& layer) {
  std::vector<catalog::InodeRow> rows;
  VELAFS_TRY(parts.catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.InodesOf(layer.id()));
    return {};
  }));
  for (const catalog::InodeRow& row : rows) {
    if (!row.born_here || !S_ISREG(row.mode) || row.nlink == 0) continue;
    if (layer.IsSealed(row.ino)) continue;
    const auto found = layer.Find(row.ino, false);
    if (!found.ok() || *found) continue;
    VELAFS_ASSIGN(const auto file, layer.Create(row.ino, row.size_bytes, std::nullopt));
    VELAFS_TRY(file->Sync(os::SyncKind::kFull));
  }
  return {};
}

// Page files that no durable fsync had reached go, for good: the inode numbers of transactions that
// were lost are given again. The rest, names too, may be newer in the host's cache than on its
// disk, and a freeze relies on it being on disk.
Status Recover(const VolumeParts& parts, Layer& layer) {
  VELAFS_TRY(layer.RemoveStrayMaps());
  for (const Layer::PageFileName& name : layer.PageFiles()) {
    VELAFS_ASSIGN(const bool keep, IsWorthKeeping(parts, layer, name));
    if (!keep) {
      VELAFS_TRY(layer.Discard(name.ino));
      continue;
    }
    const auto file = layer.Find(name.ino, name.has_map);
    if (!file.ok()) continue;  // damaged: whoever opens it is told so
    (*file)->MarkDirty();
    VELAFS_TRY((*file)->Sync(os::SyncKind::kFull));
  }
  VELAFS_TRY(parts.reserve.Run([&] { return MakeLostPageFiles(parts, layer); }));
  return layer.IsOnDisk() ? layer.SyncNames() : Status();
}

}  // namespace

Status RecoverLayer(const VolumeParts& parts, Layer& layer) {
  return layer.SettleOnce([&] { return Recover(parts, layer); });
}

Status RemoveOrphans(const VolumeParts& parts) {
  std::unordered_map<uint64_t, catalog::LayerState> known;
  VELAFS_ASSIGN(const auto layers, parts.catalog.Read(&catalog::Reader::Layers));
  for (const catalog::LayerRow& layer : layers) known[layer.id.value] = layer.state;
  VELAFS_ASSIGN(const auto directories, parts.storage.List(parts.layers_directory));
  bool has_removed = false;
  for (const os::DirectoryEntry& directory : directories) {
    uint64_t id = 0;
    const char* end = directory.name.data() + directory.name.size();
    const auto parsed = std::from_chars(directory.name.data(), end, id);
    const bool is_layer = parsed.ec == std::errc() && parsed.ptr == end;
    if (!is_layer) continue;
    if (const auto found = known.find(id); found != known.end()) {
      if (found->second != catalog::LayerState::kSealed) continue;
      VELAFS_ASSIGN(const auto layer, Layer::Load(parts, LayerId(id), true));
      VELAFS_TRY(parts.reserve.Run([&] { return layer->RemoveSealedPageFiles(); }));
      continue;
    }
    VELAFS_TRY(parts.storage.RemoveTree(parts.layers_directory + "/" + directory.name));
    has_removed = true;
  }
  // Ids of layers whose transaction was lost are given again: what lay there must not come back.
  return has_removed ? parts.storage.SyncDirectory(parts.layers_directory) : Status();
}

}  // namespace velafs::layer
