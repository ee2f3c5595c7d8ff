// Inodes and directories as a chain of layers shows them.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::catalog {

// The order of a chain's layers. Immutable.
class ChainOrder {
 public:
  explicit ChainOrder(std::vector<LayerId> nearest_first);

  const std::vector<LayerId>& layers() const { return layers_; }  // nearest first
  bool Has(LayerId layer) const { return height_of_.contains(layer); }
  // 0 is the lowest layer; none for a layer of another chain.
  std::optional<size_t> HeightOf(LayerId layer) const;

 private:
  std::vector<LayerId> layers_;
  std::unordered_map<LayerId, size_t> height_of_;
};

ChainOrder OrderOf(const std::vector<LayerRow>& chain);

// An inode as a chain shows it.
struct InodeInChain {
  InodeRow row;
  LayerId row_layer;   // the nearest layer that has a row of the inode: `row`
  LayerId born_layer;  // where the inode was made; none in a damaged catalog
};

// Valid only inside the transaction of its reader. Both are borrowed.
class ChainView {
 public:
  ChainView(Reader& reader, const ChainOrder& chain) : reader_(reader), chain_(chain) {}

  // Nothing if no layer of the chain has a row of the inode. A deleted inode's row has no links.
  Result<std::optional<InodeInChain>> Inode(InodeNumber ino);
  // Calls `visit` with the names and whiteouts that each layer has of a directory, the lowest layer
  // first.
  using VisitNames = std::function<void(LayerId layer, const std::vector<NameRow>& names)>;
  Status ForEachLayerOf(InodeNumber directory, const VisitNames& visit);

 private:
  // The rows that layers of the chain have of an inode, and maybe those of others.
  Result<std::vector<Reader::InodeInLayer>> RowsOf(InodeNumber ino);

  Reader& reader_;
  const ChainOrder& chain_;
};

}  // namespace velafs::catalog
