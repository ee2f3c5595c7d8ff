#include "velafs/fuse/lost_writes.h"

namespace velafs::fuse {

void LostWrites::Note(const Write& write, int error_number) {
  ++noted_;
  MutexLock lock(mutex_);
  if (is_ended_) return;
  errors_[write.node_id] = {.number = error_number, .is_forgotten = false};
  has_errors_ = true;
  to_drop_.push_back(write);
  if (!thread_) thread_.emplace(PeriodicThread::kUntilWoken, [this] { return DropAll(); });
  thread_->Wake();
}

void LostWrites::NoteForgotten(uint64_t node_id) {
  if (!has_errors_) return;
  MutexLock lock(mutex_);
  const auto error = errors_.find(node_id);
  if (error != errors_.end()) error->second.is_forgotten = true;
}

int LostWrites::TakeError(uint64_t node_id) {
  if (!has_errors_) return 0;
  MutexLock lock(mutex_);
  const auto error = errors_.extract(node_id);
  has_errors_ = !errors_.empty();
  return error && error.mapped().is_forgotten ? error.mapped().number : 0;
}

int LostWrites::ErrorAmong(std::span<const uint64_t> node_ids) {
  MutexLock lock(mutex_);
  for (const uint64_t node_id : node_ids) {
    const auto error = errors_.find(node_id);
    if (error != errors_.end()) return error->second.number;
  }
  return 0;
}

void LostWrites::End() {
  {
    MutexLock lock(mutex_);
    is_ended_ = true;
    to_drop_.clear();
  }
  thread_.reset();  // nobody makes one any more
}

PeriodicThread::Wait LostWrites::DropAll() {
  const auto take = [this]() -> std::optional<Write> {
    MutexLock lock(mutex_);
    if (to_drop_.empty()) return std::nullopt;
    const Write write = to_drop_.front();
    to_drop_.pop_front();
    return write;
  };
  while (const std::optional<Write> write = take()) drop_(*write);
  return PeriodicThread::kUntilWoken;
}

}  // namespace velafs::fuse
