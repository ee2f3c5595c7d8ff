// Open files of which only so many have a descriptor at a time: a process may have fewer
// descriptors than a store has files in use.
#pragma once

#include <atomic>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {

class DescriptorPool;

// A file that is open as far as its owner can tell. Its name must stay as it is. Thread-safe.
class PooledDescriptor {
 public:
  // `flags` opens the file once more: O_RDONLY or O_RDWR.
  PooledDescriptor(DescriptorPool& pool, UniqueFd fd, std::string path, int flags);
  PooledDescriptor(const PooledDescriptor&) = delete;
  PooledDescriptor& operator=(const PooledDescriptor&) = delete;
  ~PooledDescriptor();

  // The descriptor stays open for as long as this lives.
  class Use {
   public:
    int fd() const { return fd_; }

   private:
    friend class PooledDescriptor;
    Use(std::shared_lock<std::shared_mutex> lock, int fd) : lock_(std::move(lock)), fd_(fd) {}
    std::shared_lock<std::shared_mutex> lock_;
    int fd_;
  };
  Result<Use> Take();

  // Content that was written must be synced before the descriptor may be closed: the kernel tells
  // of a lost write only those who had the file open.
  void NoteWrite() { is_unsynced_.store(true, std::memory_order_relaxed); }
  // Before a sync, which takes care of all writes until then. Fails, for good, once a sync has
  // failed that closing took.
  Status BeginSync();

  const std::string& path() const { return path_; }

 private:
  friend class DescriptorPool;
  Status Reopen();
  // Closes, unless it is in use or was used since the last time. False when it stays.
  bool CloseIfIdle();

  DescriptorPool& pool_;
  const std::string path_;
  const int flags_;
  std::shared_mutex lock_;  // shared by users; exclusive to opening and closing
  UniqueFd fd_;             // guarded by lock_
  std::atomic<bool> was_used_ = true;
  std::atomic<bool> is_unsynced_ = false;
  std::atomic<int> sync_failure_ = 0;                            // errno
  std::optional<std::list<PooledDescriptor*>::iterator> place_;  // guarded by the pool's lock_
};

// Thread-safe. Its lock is taken after a descriptor's.
class DescriptorPool {
 public:
  // At most `limit` descriptors are kept open, and those in use beyond.
  explicit DescriptorPool(size_t limit) : limit_(limit) {}
  // Half of what the process may have at that moment.
  DescriptorPool() = default;

 private:
  friend class PooledDescriptor;
  void Add(PooledDescriptor& opened);
  void Remove(PooledDescriptor& closed);
  size_t Limit() const;

  const size_t limit_ = 0;
  Mutex lock_;
  // As a clock's hand goes over them: the front is looked at next.
  std::list<PooledDescriptor*> open_ GUARDED_BY(lock_);
};

}  // namespace velafs::os
