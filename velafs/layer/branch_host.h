// What the branches of one volume share.
#pragma once

#include <cstdint>
#include <memory>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/layer/volume_parts.h"

namespace velafs::layer {

class Layer;

// Thread-safe.
class BranchHost {
 public:
  virtual ~BranchHost() = default;
  virtual const VolumeParts& parts() const = 0;
  // `is_settled`: see Layer; counts only if the layer is not in memory.
  virtual Result<std::shared_ptr<Layer>> GetLayer(LayerId id, bool is_settled) = 0;
  // How often content, names or rows have moved: from one layer to another by a merge, or from page
  // files to chunks by a sealing. It grows inside the transaction that moves them, and before
  // anything in memory says so.
  virtual uint64_t generation() const = 0;
  virtual Result<InodeNumber> NewInodeNumber() = 0;
  // Removes the inode's page file from the layer once the transaction can no longer be lost.
  virtual void DiscardLater(std::shared_ptr<Layer> layer, InodeNumber ino,
                            catalog::CommitSequence after) = 0;
};

// Runs `load`, which reads rows first and layers in memory after them, until nothing has moved
// while it ran: only then do they belong together. Whatever it returned before that, a failure too,
// is dropped.
template <typename Load>
auto LoadUnmoved(const BranchHost& host, const Load& load) {
  while (true) {
    const uint64_t generation = host.generation();
    auto loaded = load();
    if (host.generation() == generation) return loaded;
  }
}

}  // namespace velafs::layer
