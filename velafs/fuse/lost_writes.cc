#include "velafs/fuse/lost_writes.h"

namespace velafs::fuse {

LostWrites::~LostWrites() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void LostWrites::Note(const Write& write, int error_number) {
  {
    const std::lock_guard lock(mutex_);
    errors_[write.node_id] = {.number = error_number, .is_forgotten = false};
    has_errors_ = true;
    to_drop_.push_back(write);
    if (!thread_.joinable()) thread_ = std::thread([this] { DropAll(); });
  }
  changed_.notify_one();
}

void LostWrites::NoteForgotten(uint64_t node_id) {
  if (!has_errors_) return;
  const std::lock_guard lock(mutex_);
  const auto error = errors_.find(node_id);
  if (error != errors_.end()) error->second.is_forgotten = true;
}

int LostWrites::TakeError(uint64_t node_id) {
  if (!has_errors_) return 0;
  const std::lock_guard lock(mutex_);
  const auto error = errors_.find(node_id);
  if (error == errors_.end() || !error->second.is_forgotten) return 0;
  const int number = error->second.number;
  errors_.erase(error);
  has_errors_ = !errors_.empty();
  return number;
}

void LostWrites::DropAll() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return is_ending_ || !to_drop_.empty(); });
    if (to_drop_.empty()) return;
    const Write write = to_drop_.front();
    to_drop_.pop_front();
    lock.unlock();
    drop_(write);
    lock.lock();
  }
}

}  // namespace velafs::fuse
