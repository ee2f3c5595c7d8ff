// A reserve of disk space for operations that free space: on a full disk they need a little first.
// It has blocks in a file, and inodes in empty files beside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/os/storage.h"

namespace velafs::os {

// Whether the disk, or the owner's share of it, is used up: ENOSPC or EDQUOT.
bool IsOutOfSpace(const Status& status);

// Thread-safe. The files hold no data: they need not exist, nor be durable.
class SpaceReserve {
 public:
  static constexpr uint64_t kBytes = 4 * 1024 * 1024;

  // Borrows `storage`. No I/O.
  SpaceReserve(Storage& storage, std::string path) : storage_(storage), path_(std::move(path)) {}

  // Runs `operation`, which returns a Status or Result. If it is out of space, frees a part of the
  // reserve and runs it again, until it is not, or the reserve is used up. A failed run must leave
  // no trace.
  template <typename Operation>
  auto Run(Operation operation) {
    auto outcome = operation();
    while (IsOutOfSpace(StatusOf(outcome)) && GiveBack()) outcome = operation();
    return outcome;
  }

  // Fills the reserve up again if the disk has enough space. No I/O while the reserve is whole.
  void Refill();

 private:
  static const Status& StatusOf(const Status& status) { return status; }
  template <typename T>
  static Status StatusOf(const Result<T>& result) {
    return result.status();
  }
  bool GiveBack();
  bool GiveBackFiles() REQUIRES(mutex_);
  bool GiveBackBytes() REQUIRES(mutex_);
  bool RefillFiles() REQUIRES(mutex_);
  bool RefillBytes() REQUIRES(mutex_);

  Storage& storage_;
  const std::string path_;
  Mutex mutex_;                         // one change of the file at a time
  std::atomic<bool> is_whole_ = false;  // written under mutex_
};

}  // namespace velafs::os
