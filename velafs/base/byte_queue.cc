#include "velafs/base/byte_queue.h"

#include <algorithm>
#include <utility>

namespace velafs {

bool ByteQueue::Push(std::span<const std::byte> bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return bytes_.size() < limit_bytes_ || is_closed_; });
  if (is_closed_) return false;
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  changed_.notify_all();
  return true;
}

void ByteQueue::Finish(Status status) {
  const std::lock_guard lock(mutex_);
  if (is_finished_) return;
  is_finished_ = true;
  failure_ = std::move(status);
  changed_.notify_all();
}

Result<size_t> ByteQueue::Pull(std::span<std::byte> into) {
  if (taken_begin_ == taken_.size()) {
    taken_.clear();
    taken_begin_ = 0;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !bytes_.empty() || is_finished_; });
    if (bytes_.empty()) {
      VELAFS_TRY(failure_);
      return size_t{0};
    }
    std::swap(taken_, bytes_);
    changed_.notify_all();
  }
  const size_t size = std::min(into.size(), taken_.size() - taken_begin_);
  std::copy_n(taken_.begin() + static_cast<std::ptrdiff_t>(taken_begin_), size, into.begin());
  taken_begin_ += size;
  return size;
}

void ByteQueue::Close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  changed_.notify_all();
}

}  // namespace velafs
