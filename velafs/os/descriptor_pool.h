// Open files that share a limited number of descriptors: a process may have fewer descriptors than
// a store has files in use.
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

// A file that looks open to its owner, and may have no descriptor. Its name must not change.
// Thread-safe.
class PooledDescriptor {
 public:
  // `flags`, O_RDONLY or O_RDWR, are for opening the file again.
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

  // After a write: it must be synced before the descriptor is closed. The kernel reports a lost
  // write only to those who had the file open.
  void NoteWrite() { is_unsynced_.store(true, std::memory_order_relaxed); }
  // Before a sync, which covers all writes until then. Fails, for good, if a sync before a close
  // has failed.
  Status BeginSync();

  const std::string& path() const { return path_; }

 private:
  friend class DescriptorPool;
  Status Reopen();
  // Closes the descriptor unless it is in use, or was used since the last call. False if it stays.
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
  // Keeps at most `limit` descriptors open; more only while they are in use.
  explicit DescriptorPool(size_t limit) : limit_(limit) {}
  // The limit is half of what the process may have at that moment.
  DescriptorPool() = default;

 private:
  friend class PooledDescriptor;
  void Add(PooledDescriptor& opened);
  void Remove(PooledDescriptor& closed);
  size_t Limit() const;

  const size_t limit_ = 0;
  Mutex lock_;
  // In the order of a clock's hand: the front is examined next.
  std::list<PooledDescriptor*> open_ GUARDED_BY(lock_);
};

}  // namespace velafs::os
