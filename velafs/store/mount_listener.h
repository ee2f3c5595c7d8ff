// What a store tells its mount.
#pragma once

#include <string>

namespace velafs::store {

// Told of branches that come and go under the mount, after the change is durable. Called without
// any lock a verb may wait for; SetMount, though, returns only when no call is under way.
class MountListener {
 public:
  virtual ~MountListener() = default;
  virtual void BranchAdded(const std::string& name) = 0;
  virtual void BranchRemoved(const std::string& name) = 0;
};

}  // namespace velafs::store
