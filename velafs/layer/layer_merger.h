// Merging a frozen layer into the one that stands on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"

namespace velafs::layer {

class Branch;
class Layer;
class LayerPin;
class Volume;

// Merges a layer that nothing needs for itself any more, as bookmarks and clones leave it when they
// go, into the frozen one that stands on it: what that one overrides is given back, and chains get
// shorter. Nothing anybody sees changes. One thread; one merge or sealing of a volume at a time.
class LayerMerger {
 public:
  // Finds two layers, and pins them until this is destroyed; null if there are none to merge. With
  // no other operation on branches under way.
  static Result<std::unique_ptr<LayerMerger>> Start(Volume& volume);
  ~LayerMerger();

  // Merges, once. Everything may go on meanwhile. Returns how much space was freed: 0 if `go_on`
  // was false. Then, and after a failure, what was done stays done, and both layers are as good as
  // before. The volume leaves alone a layer that could not be merged, except for want of space.
  Result<uint64_t> Run(const std::function<bool()>& go_on);

 private:
  LayerMerger(Volume& volume, LayerId lower, std::unique_ptr<LayerPin> upper);
  Result<uint64_t> Merge(const std::function<bool()>& go_on);
  Status CopyUp(Branch& view, Layer& lower, Layer& upper, InodeNumber ino,
                const std::function<bool()>& go_on);
  // Commits the merge; makes it durable, and known to all open branches.
  Status Commit(const Layer& lower);
  Status Abandon();

  Volume& volume_;
  const LayerId lower_;
  const std::unique_ptr<LayerPin> upper_;
};

}  // namespace velafs::layer
