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
  // Once. Corrupt where something stands on a layer that is not there: which of the others nothing
  // else needs is then not known.
  Status Load(catalog::Reader& reader);

  // From `top`, on which one branch or bookmark stands, down: the layers nothing else needs. Empty
  // when there is no such layer any more. Valid as long as this is.
  std::vector<const catalog::LayerRow*> OwnLayers(LayerId top) const;
  // A frozen layer that only another frozen one stands on, and that one, sealed or not, but for
  // what was imported; the lowest there is that is not left out. Nothing when there is none.
  struct Pair {
    const catalog::LayerRow* lower;
    const catalog::LayerRow* upper;
  };
  std::optional<Pair> FindMerge(const std::set<LayerId>& left_out) const;
  // A layer with content to seal that was frozen before that time and is not to be merged into
  // another; the lowest that is not left out. Null when there is none.
  const catalog::LayerRow* FindUnsealed(TimeNs frozen_before,
                                        const std::set<LayerId>& left_out) const;
  // Of the nearest layer from `top` down that knows; `*is_estimate` when that is not `top`.
  uint64_t LogicalBytes(LayerId top, bool* is_estimate) const;

 private:
  struct Entry {
    catalog::LayerRow row;
    uint64_t uses = 0;                // layers, branches and bookmarks that stand on it
    std::optional<TimeNs> frozen_at;  // when the first layer on it was made
  };
  const Entry* Find(LayerId id) const;
  // One more use of it.
  Result<Entry*> Count(LayerId used);
  // Whether the layer under `upper` is to be merged into it.
  bool IsMerge(const Entry& upper, const std::set<LayerId>& left_out) const;

  std::unordered_map<LayerId, Entry> layers_;
};

}  // namespace velafs::layer
