#include "velafs/os/descriptor_pool.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace velafs::os {

PooledDescriptor::PooledDescriptor(DescriptorPool& pool, UniqueFd fd, std::string path, int flags)
    : pool_(pool), path_(std::move(path)), flags_(flags), fd_(std::move(fd)) {
  pool_.Add(*this);
}

PooledDescriptor::~PooledDescriptor() { pool_.Remove(*this); }

Result<PooledDescriptor::Use> PooledDescriptor::Take() {
  for (;;) {
    std::shared_lock lock(lock_);
    if (fd_) {
      if (!was_used_.load(std::memory_order_relaxed)) was_used_ = true;
      return Use(std::move(lock), fd_.get());
    }
    lock.unlock();
    VELAFS_TRY(Reopen());
  }
}

Status PooledDescriptor::Reopen() {
  const std::unique_lock lock(lock_);
  if (fd_) return {};
  do {
    fd_.Reset(open(path_.c_str(), flags_ | O_CLOEXEC));
  } while (!fd_ && errno == EINTR);
  if (!fd_) {
    const int error_number = errno;
    return SystemError(error_number, "cannot open \"" + path_ + "\" again");
  }
  was_used_ = true;
  pool_.Add(*this);
  return {};
}

bool PooledDescriptor::CloseIfIdle() {
  const std::unique_lock lock(lock_, std::try_to_lock);
  if (!lock || was_used_.exchange(false)) return false;
  if (is_unsynced_.exchange(false) && fdatasync(fd_.get()) != 0) sync_failure_ = errno;
  fd_.Reset();
  return true;
}

Status PooledDescriptor::BeginSync() {
  is_unsynced_ = false;
  const int error_number = sync_failure_;
  return error_number == 0 ? Status() : SystemError(error_number, "cannot sync \"" + path_ + "\"");
}

size_t DescriptorPool::Limit() const {
  if (limit_ > 0) return limit_;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  return std::max<size_t>(limit.rlim_cur / 2, 16);
}

void DescriptorPool::Add(PooledDescriptor& opened) {
  const size_t limit = Limit();
  MutexLock lock(lock_);
  opened.place_ = open_.insert(open_.end(), &opened);
  // Twice round at most: the first time may find that all were used.
  for (size_t steps = 2 * open_.size(); open_.size() > limit && steps > 0; --steps) {
    PooledDescriptor* const next = open_.front();
    if (next != &opened && next->CloseIfIdle()) {
      open_.pop_front();
      next->place_.reset();
    } else {
      open_.splice(open_.end(), open_, open_.begin());
    }
  }
}

void DescriptorPool::Remove(PooledDescriptor& closed) {
  MutexLock lock(lock_);
  if (closed.place_) open_.erase(*closed.place_);
}

}  // namespace velafs::os
