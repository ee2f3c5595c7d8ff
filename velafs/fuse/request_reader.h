// Reads requests from the kernel with few threads waiting at a time.
#pragma once

#include <semaphore.h>
#include <sys/types.h>

#include <cstddef>

#include "velafs/base/mutex.h"

namespace velafs::fuse {

// The kernel gives a request to the thread that has waited longest. If many wait, each request
// wakes another one, on whatever processor that last ran, and nothing of it is in a cache. So few
// wait in the kernel; the others stand by until the last of them has left with a request. Somebody
// waits as long as one thread is free.
//
// Thread-safe. If a thread is cancelled in Read, all must be: the reader is of no use any more.
class RequestReader {
 public:
  static constexpr int kMostWaiting = 2;

  RequestReader() { sem_init(&resumed_, 0, 0); }
  ~RequestReader() { sem_destroy(&resumed_); }
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  // As read(2), on the device or a clone of it.
  ssize_t Read(int device, void* into, size_t size);

  struct Counts {
    int waiting = 0;  // in read(2), or about to be
    int standing_by = 0;
  };
  Counts counts() const;

 private:
  void BeginToWait();
  void EndWaiting();

  mutable Mutex mutex_;
  Counts counts_ GUARDED_BY(mutex_);
  sem_t resumed_;  // posted for one that stands by, which is counted as waiting then
};

}  // namespace velafs::fuse
