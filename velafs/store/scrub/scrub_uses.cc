// Scrubber: which branches and bookmarks see damage, and in which file.
#include <sys/stat.h>

#include <algorithm>

#include "velafs/catalog/chain_view.h"
#include "velafs/layer/page_map.h"
#include "velafs/store/scrub/scrubber.h"

namespace velafs::store {
namespace {

using catalog::Reader;
using layer::PageMap;

// A branch or bookmark: the layer its state is the view from.
struct View {
  std::string name;
  LayerId top;
  InodeNumber root;
};

Result<std::vector<View>> AllViews(Reader& reader) {
  std::vector<View> views;
  const auto add = [&](const catalog::BranchRow& branch, const std::string& where) -> Status {
    views.push_back({branch.name + where, branch.head, branch.root});
    VELAFS_ASSIGN(const auto bookmarks, reader.Bookmarks(branch.id));
    for (const catalog::BookmarkRow& bookmark : bookmarks) {
      views.push_back({branch.name + "@" + bookmark.name + where, bookmark.layer, bookmark.root});
    }
    return {};
  };
  VELAFS_ASSIGN(const auto branches, reader.Branches());
  for (const catalog::BranchRow& branch : branches) VELAFS_TRY(add(branch, ""));
  VELAFS_ASSIGN(const auto deleted, reader.DeletedBranches());
  for (const catalog::BranchRow& branch : deleted) VELAFS_TRY(add(branch, " (in the trash)"));
  return views;
}

// What a view shows.
class ViewReader {
 public:
  ViewReader(Reader& reader, const std::vector<catalog::LayerRow>& chain)
      : order_(catalog::OrderOf(chain)), seen_(reader, order_) {}

  bool Has(LayerId layer) const { return order_.Has(layer); }

  // A path for each of `wanted` that has a name.
  Result<std::map<InodeNumber, std::string>> PathsOf(InodeNumber root,
                                                     const std::set<InodeNumber>& wanted) {
    std::map<InodeNumber, std::string> paths;
    std::vector<std::pair<InodeNumber, std::string>> to_visit = {{root, ""}};
    while (!to_visit.empty()) {
      const auto [directory, path] = to_visit.back();
      to_visit.pop_back();
      VELAFS_ASSIGN(const auto names, NamesOf(directory));
      for (const auto& [name, ino] : names) {
        if (wanted.contains(ino)) paths.emplace(ino, path + name);
        VELAFS_ASSIGN(const auto inode, seen_.Inode(ino));
        if (inode && S_ISDIR(inode->row.mode)) to_visit.emplace_back(ino, path + name + "/");
      }
    }
    return paths;
  }

  // Layers above `layer`, nearest first.
  std::vector<LayerId> Above(LayerId layer) const {
    const std::vector<LayerId>& layers = order_.layers();
    return {layers.begin(), std::ranges::find(layers, layer)};
  }

 private:
  Result<std::map<std::string, InodeNumber>> NamesOf(InodeNumber directory) {
    std::map<std::string, InodeNumber> names;
    VELAFS_TRY(
        seen_.ForEachLayerOf(directory, [&](LayerId, const std::vector<catalog::NameRow>& said) {
          for (const catalog::NameRow& name : said) {
            if (name.ino) {
              names[name.name] = name.ino;
            } else {
              names.erase(name.name);
            }
          }
        }));
    return names;
  }

  const catalog::ChainOrder order_;
  catalog::ChainView seen_;
};

// The map of a file in a layer; none when it has none, or none that can be read.
std::optional<PageMap> MapOf(os::Storage& storage, const std::string& layers_directory,
                             LayerId layer, InodeNumber ino) {
  const std::string path = layers_directory + "/" + std::to_string(layer.value) + "/" +
                           std::to_string(ino.value) + ".map";
  const auto file = storage.Open(path, os::OpenMode::kRead);
  if (!file.ok()) return {};
  auto map = PageMap::Load(layer, ino, **file);
  if (!map.ok()) return {};
  return *std::move(map);
}

// Whether the layer has the page of its own, in chunks: then nothing below it is seen. One that
// begins where the layer shows nothing from below is the layer's too.
Result<bool> IsSealedIn(Reader& reader, LayerId layer, const catalog::InodeRow& row,
                        PageNumber page) {
  const uint64_t inherited = row.inherited_bytes.value_or(0);
  if (page.OffsetBytes() >= inherited) return true;
  const uint64_t chunk = page.value / kPagesPerChunk;
  VELAFS_ASSIGN(const auto part,
                reader.ManifestPart(layer, row.ino, chunk / catalog::kChunksPerPart));
  const uint64_t index = chunk % catalog::kChunksPerPart;
  if (!part || index >= part->chunks.size()) return false;
  if (part->pages.empty()) return true;
  return ((part->pages[index] >> (page.value % kPagesPerChunk)) & 1) != 0;
}

// Whether any page of the chunks is still seen through the layers above, whose own pages hide it.
Result<bool> IsSeen(Reader& reader, os::Storage& storage, const std::string& layers_directory,
                    const std::vector<LayerId>& above, InodeNumber ino,
                    const DamagedChunks& chunks) {
  std::set<PageNumber> pages;
  for (const uint64_t chunk : chunks) {
    for (uint64_t i = 0; i < kPagesPerChunk; ++i) pages.emplace(chunk * kPagesPerChunk + i);
  }
  if (pages.empty()) return true;
  for (const LayerId layer : above) {
    VELAFS_ASSIGN(const auto row, reader.Inode(layer, ino));
    const bool is_sealed = row && row->inherited_bytes;
    const auto map = MapOf(storage, layers_directory, layer, ino);
    for (auto page = pages.begin(); page != pages.end();) {
      bool is_hidden = map && map->RunAt(*page, 1).held;
      if (!is_hidden && is_sealed) {
        VELAFS_ASSIGN(is_hidden, IsSealedIn(reader, layer, *row, *page));
      }
      page = is_hidden ? pages.erase(page) : std::next(page);
    }
  }
  return !pages.empty();
}

void AddName(Damage* damage, const std::string& path, const std::string& name) {
  auto& files = damage->files;
  auto at =
      std::lower_bound(files.begin(), files.end(), path,
                       [](const DamagedFile& file, const std::string& p) { return file.path < p; });
  if (at == files.end() || at->path != path) at = files.insert(at, {path, {}});
  if (at->names.empty() || at->names.back() != name) at->names.push_back(name);
}

}  // namespace

Status Scrubber::NameFiles() {
  std::set<FileInLayer> damaged;
  for (const auto& finding : findings_) {
    for (const auto& [file, chunks] : finding->uses) damaged.insert(file);
  }
  if (damaged.empty()) return {};
  std::vector<View> views;
  VELAFS_TRY(catalog_->Read([&](Reader& reader) -> Status {
    VELAFS_ASSIGN(views, AllViews(reader));
    return {};
  }));
  for (const View& view : views) {
    VELAFS_TRY(Report(0));
    VELAFS_TRY(catalog_->Read([&](Reader& reader) -> Status {
      VELAFS_ASSIGN(const auto top, reader.FindLayer(view.top));
      if (!top) return {};  // deleted meanwhile
      VELAFS_ASSIGN(const auto chain, reader.Chain(view.top));
      ViewReader seen(reader, chain);
      std::set<InodeNumber> wanted;
      for (const FileInLayer& file : damaged) {
        if (seen.Has(file.layer)) wanted.insert(file.ino);
      }
      if (wanted.empty()) return {};
      VELAFS_ASSIGN(const auto paths, seen.PathsOf(view.root, wanted));
      for (const auto& finding : findings_) {
        for (const auto& [file, chunks] : finding->uses) {
          const auto path = paths.find(file.ino);
          if (path == paths.end() || !seen.Has(file.layer)) continue;
          VELAFS_ASSIGN(const bool is_seen, IsSeen(reader, target_.storage, target_.paths.Layers(),
                                                   seen.Above(file.layer), file.ino, chunks));
          if (is_seen) AddName(&finding->damage, path->second, view.name);
        }
      }
      return {};
    }));
  }
  return {};
}

}  // namespace velafs::store
