// All layers of a store, and which of them would go with what stands on them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::layer {

// One thread.
class LayerTree {
 public:
  // Once.
  Status Load(catalog::Reader& reader);

  // From `top`, on which one branch or bookmark stands, down: the layers nothing else needs. Empty
  // when there is no such layer any more. Valid as long as this is.
  std::vector<const catalog::LayerRow*> OwnLayers(LayerId top) const;
  // A frozen layer that only another frozen one stands on, and that one; the lowest there is that
  // is not left out. Nothing when there is none.
  struct Pair {
    const catalog::LayerRow* lower;
    const catalog::LayerRow* upper;
  };
  std::optional<Pair> FindMerge(const std::set<LayerId>& left_out) const;
  // Of the nearest layer from `top` down that knows; `*is_estimate` when that is not `top`.
  uint64_t LogicalBytes(LayerId top, bool* is_estimate) const;

 private:
  struct Entry {
    catalog::LayerRow row;
    uint64_t uses = 0;  // layers, branches and bookmarks that stand on it
  };
  const Entry* Find(LayerId id) const;

  std::unordered_map<LayerId, Entry> layers_;
};

}  // namespace velafs::layer
