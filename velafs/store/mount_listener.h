// What a store tells its mount.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs::layer {
class Branch;
}  // namespace velafs::layer

namespace velafs::store {

// Told of branches that come and go under the mount, after the change is durable, and asked for
// what the kernel has not sent yet. Called without any lock a request may wait for; SetMount,
// though, returns only when no call is under way.
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
