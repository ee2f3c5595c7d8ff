// All layers of a store, and which of them nothing but one branch or bookmark needs.
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
  // Once. Corrupt if something stands on a layer that is not there: then it is unknown which layers
  // are needed.
  Status Load(catalog::Reader& reader);
  // As much of it as OwnLayers and LogicalBytes need of `top`, which takes no longer the more
  // layers there are. Call it any number of times instead of Load.
  Status LoadFrom(catalog::Reader& reader, LayerId top);

  // The layers that nothing else needs, from `top`, on which one branch or bookmark stands, down.
  // Empty if `top` is not there any more. Valid as long as this object.
  std::vector<const catalog::LayerRow*> OwnLayers(LayerId top) const;
  // A frozen layer, sealed or not, that only another frozen one stands on, and that one. Never an
  // imported layer. Of several pairs, the one with the lowest lower layer that is not left out.
  struct Pair {
    const catalog::LayerRow* lower;
    const catalog::LayerRow* upper;
  };
  std::optional<Pair> FindMerge(const std::set<LayerId>& left_out) const;
  // The lowest layer with content to seal that was frozen before that time, is not to be merged
  // into another, and is not left out. Null if there is none.
  const catalog::LayerRow* FindUnsealed(TimeNs frozen_before,
                                        const std::set<LayerId>& left_out) const;
  // The count of the nearest layer from `top` down that has one. Sets `*is_estimate` if that is not
  // `top`.
  uint64_t LogicalBytes(LayerId top, bool* is_estimate) const;

 private:
  struct Entry {
    catalog::LayerRow row;
    uint64_t uses = 0;  // layers, branches and bookmarks that stand on it; after LoadFrom up to two
    std::optional<TimeNs> frozen_at;  // when the first layer on it was made
  };
  const Entry* Find(LayerId id) const;
  // Counts one more use of a layer.
  Result<Entry*> Count(LayerId used);
  // Whether the layer under `upper` is to be merged into it.
  bool IsMerge(const Entry& upper, const std::set<LayerId>& left_out) const;

  std::unordered_map<LayerId, Entry> layers_;
};

}  // namespace velafs::layer
