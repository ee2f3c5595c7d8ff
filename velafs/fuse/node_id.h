// The kernel's node id of an inode: a life of a branch, and an inode. It needs no table, so it
// means the same after a restart; an instance that has ended is ESTALE.
#pragma once

#include <cstdint>

#include "velafs/base/ids.h"

namespace velafs::fuse {

inline constexpr uint64_t kRootNode = 1;  // the mount's root, which lists the branches

struct Node {
  InstanceId instance;
  InodeNumber ino;

  bool IsRoot() const { return !instance; }
};

// Both are within their limits: the catalog gives none beyond, and accepts none from its tables.
inline uint64_t ToNodeId(InstanceId instance, InodeNumber ino) {
  return instance.value << kInodeBits | ino.value;
}

inline Node ToNode(uint64_t node_id) {
  return {InstanceId(node_id >> kInodeBits), InodeNumber(node_id & kMaxInode)};
}

}  // namespace velafs::fuse
