// The store's messages to its mount.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs::layer {
class Branch;
}  // namespace velafs::layer

namespace velafs::store {

// Learns of branches that appear and vanish under the mount, after the change is durable, and makes
// the kernel send cached writes. Called without any lock that a request may wait for; but SetMount
// returns only when no call is under way.
class MountListener {
 public:
  virtual ~MountListener() = default;
  virtual void BranchAdded(const std::string& name) = 0;
  virtual void BranchRemoved(const std::string& name) = 0;
  // On return the branch has all that programs wrote to its files before the call. Fails if some of
  // it cannot be stored.
  virtual Status SendWrites(layer::Branch& branch) = 0;
};

}  // namespace velafs::store
