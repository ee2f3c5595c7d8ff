#include "velafs/store/recovery.h"

#include <cerrno>
#include <charconv>
#include <optional>
#include <set>
#include <vector>

namespace velafs::store {
namespace {

using catalog::Catalog;

// One transaction for each, so that others need not wait for all of them.
Status RemoveRows(Catalog& catalog, LayerId layer, std::span<const PackId> packs) {
  catalog::CommitSequence last = 0;
  if (layer) {
    // An export's stands on the state it reads, which may be needed by nothing else any more.
    VELAFS_ASSIGN(last, catalog.Write([&](catalog::Writer& writer) {
      return writer.RemoveUnusedLayers(layer).status();
    }));
  }
  for (const PackId pack : packs) {
    VELAFS_ASSIGN(last,
                  catalog.Write([&](catalog::Writer& writer) { return writer.RemovePack(pack); }));
  }
  return catalog.MakeDurable(last);
}

// The pack whose file has this name; none for any other file.
std::optional<PackId> PackOfFile(const std::string& name) {
  uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || std::string(rest, end) != ".pack" || number == 0) return {};
  return PackId(number);
}

Status RemoveUnknownPacks(os::Storage& storage, const std::string& directory,
                          const std::set<PackId>& known) {
  VELAFS_ASSIGN(const std::vector<os::DirectoryEntry> entries, storage.List(directory));
  for (const os::DirectoryEntry& entry : entries) {
    const std::optional<PackId> pack = PackOfFile(entry.name);
    if (!pack || entry.is_directory || known.contains(*pack)) continue;
    VELAFS_TRY(RemovePackFile(storage, directory + "/" + entry.name));
  }
  return {};
}

}  // namespace

Status RemovePackFile(os::Storage& storage, const std::string& path) {
  Status removed = storage.RemoveFile(path);
  return removed.error_number() == ENOENT ? Status() : removed;
}

Status RemoveImport(os::Storage& storage, Catalog& catalog, chunk::PackReader& packs,
                    const std::string& packs_directory, LayerId layer,
                    std::span<const PackId> pack_ids) {
  for (const PackId pack : pack_ids) {
    packs.Forget(pack);
    VELAFS_TRY(RemovePackFile(storage, chunk::PackPath(packs_directory, pack)));
  }
  return RemoveRows(catalog, layer, pack_ids);
}

Status RecoverImports(os::Storage& storage, Catalog& catalog, chunk::PackReader& packs,
                      const std::string& packs_directory) {
  std::vector<LayerId> layers;
  std::vector<PackId> unpublished;
  std::set<PackId> published;
  VELAFS_TRY(catalog.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const std::vector<catalog::LayerRow> rows, reader.Layers());
    for (const catalog::LayerRow& row : rows) {
      if (row.state == catalog::LayerState::kImporting) layers.push_back(row.id);
    }
    VELAFS_ASSIGN(const auto pack_rows, reader.Packs());
    for (const catalog::Reader::PackRow& row : pack_rows) {
      if (row.published) {
        published.insert(row.id);
      } else {
        unpublished.push_back(row.id);
      }
    }
    return {};
  }));
  VELAFS_TRY(RemoveImport(storage, catalog, packs, packs_directory, LayerId(), unpublished));
  for (const LayerId layer : layers) {
    VELAFS_TRY(RemoveImport(storage, catalog, packs, packs_directory, layer, {}));
  }
  return RemoveUnknownPacks(storage, packs_directory, published);
}

}  // namespace velafs::store
