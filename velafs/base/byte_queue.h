// A pipe between two threads of a process.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

#include "velafs/base/status.h"

namespace velafs {

// One thread writes, one reads.
class ByteQueue {
 public:
  // Holds about `limit_bytes` at most.
  explicit ByteQueue(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // Waits for room. False if the reader has closed its end.
  bool Push(std::span<const std::byte> bytes);
  // Closes the writer's end: the reader then gets the end, or the failure. Only the first call
  // counts.
  void Finish(Status status);

  // A ReadFn: waits for bytes; 0 at the end, or the failure.
  Result<size_t> Pull(std::span<std::byte> into);
  // Closes the reader's end.
  void Close();

 private:
  const size_t limit_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::vector<std::byte> bytes_;
  bool is_finished_ = false;
  bool is_closed_ = false;
  Status failure_;
  // The reader's own.
  std::vector<std::byte> taken_;
  size_t taken_begin_ = 0;
};

}  // namespace velafs
