#include "velafs/store/store_mount.h"

#include <utility>

namespace velafs::store {

void StoreMount::Set(std::string mountpoint, MountListener* listener) {
  {
    MutexLock lock(mountpoint_mutex_);
    mountpoint_ = listener == nullptr ? std::nullopt : std::optional(std::move(mountpoint));
  }
  WriterLock lock(listener_mutex_);
  listener_ = listener;
}

std::optional<std::string> StoreMount::mountpoint() const {
  MutexLock lock(mountpoint_mutex_);
  return mountpoint_;
}

void StoreMount::TellAdded(const std::string& name) {
  ReaderLock lock(listener_mutex_);
  if (listener_ != nullptr) listener_->BranchAdded(name);
}

void StoreMount::TellRemoved(const std::string& name) {
  ReaderLock lock(listener_mutex_);
  if (listener_ != nullptr) listener_->BranchRemoved(name);
}

Status StoreMount::SendWrites(layer::Branch& branch) {
  ReaderLock lock(listener_mutex_);
  return listener_ != nullptr ? listener_->SendWrites(branch) : Status();
}

}  // namespace velafs::store
