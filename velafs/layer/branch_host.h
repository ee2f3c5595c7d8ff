// The interface between branches and their volume.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/layer/volume_parts.h"

namespace velafs::layer {

class Layer;

// Thread-safe.
class BranchHost {
 public:
  virtual ~BranchHost() = default;
  virtual const VolumeParts& parts() const = 0;
  // Returns the layer, and loads it if it is not in memory: then `is_settled` says how (see Layer).
  virtual Result<std::shared_ptr<Layer>> GetLayer(LayerId id, bool is_settled) = 0;
  // Counts the moves of content, names or rows: from one layer to another by a merge, or from page
  // files to chunks by a sealing. It grows inside the transaction that moves them, before anything
  // in memory changes.
  virtual uint64_t generation() const = 0;
  virtual Result<InodeNumber> NewInodeNumber() = 0;
  // Times that are shown are multiples of that.
  virtual TimeNs time_granularity() const = 0;
  TimeNs Rounded(TimeNs time) const {  // down
    const TimeNs granularity = time_granularity();
    return time - (time % granularity + granularity) % granularity;
  }
  TimeNs Now() const { return Rounded(NowNs()); }
  // A branch has loaded that much into memory.
  virtual void NoteLoaded(size_t bytes) = 0;
  // Removes the inode's page file from the layer once transaction `after` is durable.
  virtual void DiscardLater(std::shared_ptr<Layer> layer, InodeNumber ino,
                            catalog::CommitSequence after) = 0;
};

// Runs `load`, which reads rows first and layers in memory after them, until nothing has moved
// while it ran: only then do the two belong together. Results of earlier runs are dropped, failures
// too.
template <typename Load>
auto LoadUnmoved(const BranchHost& host, const Load& load) {
  while (true) {
    const uint64_t generation = host.generation();
    auto loaded = load();
    if (host.generation() == generation) return loaded;
  }
}

}  // namespace velafs::layer
