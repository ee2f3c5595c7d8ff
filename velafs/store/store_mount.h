// The mount of a store, which learns of branches that appear and vanish.
#pragma once

#include <optional>
#include <string>

#include "velafs/base/mutex.h"
#include "velafs/store/mount_listener.h"

namespace velafs::store {

// Thread-safe. While the listener is called, it is locked: it may take locks of a branch and of the
// mount, and no verb's.
class StoreMount {
 public:
  // At a path without links, as the kernel names it. The listener is borrowed until cleared with
  // nullptr, which also means "not mounted".
  void Set(std::string mountpoint, MountListener* listener);
  std::optional<std::string> mountpoint() const;
  void TellAdded(const std::string& name);
  void TellRemoved(const std::string& name);
  // See MountListener::SendWrites.
  Status SendWrites(layer::Branch& branch);

 private:
  mutable Mutex mountpoint_mutex_;
  std::optional<std::string> mountpoint_ GUARDED_BY(mountpoint_mutex_);
  SharedMutex listener_mutex_;
  MountListener* listener_ GUARDED_BY(listener_mutex_) = nullptr;
};

}  // namespace velafs::store
