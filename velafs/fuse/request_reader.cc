#include "velafs/fuse/request_reader.h"

#include <unistd.h>

#include <cerrno>

namespace velafs::fuse {

ssize_t RequestReader::Read(int device, void* into, size_t size) {
  BeginToWait();
  const ssize_t got = read(device, into, size);
  const int error = errno;
  EndWaiting();
  errno = error;
  return got;
}

RequestReader::Counts RequestReader::counts() const {
  MutexLock lock(mutex_);
  return counts_;
}

void RequestReader::BeginToWait() {
  {
    MutexLock lock(mutex_);
    if (counts_.waiting < kMostWaiting) {
      ++counts_.waiting;
      return;
    }
    ++counts_.standing_by;
  }
  // libfuse ends its threads by pthread_cancel, which no semaphore of C++ knows.
  while (sem_wait(&resumed_) != 0 && errno == EINTR) {
  }
}

void RequestReader::EndWaiting() {
  MutexLock lock(mutex_);
  --counts_.waiting;
  if (counts_.waiting > 0 || counts_.standing_by == 0) return;
  --counts_.standing_by;
  ++counts_.waiting;
  sem_post(&resumed_);
}

}  // namespace velafs::fuse
