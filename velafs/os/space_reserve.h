// Disk space kept back for operations that free space, which on a full disk need a little of it
// first: blocks in a file, and inodes in empty files beside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/os/storage.h"

namespace velafs::os {

// The disk, or the owner's share of it, is used up: ENOSPC or EDQUOT.
bool IsOutOfSpace(const Status& status);

// Thread-safe. Holds nothing that would be missed: the files need not be there, nor be durable.
class SpaceReserve {
 public:
  static constexpr uint64_t kBytes = 4 * 1024 * 1024;

  // `storage` is borrowed. Touches nothing yet.
  SpaceReserve(Storage& storage, std::string path) : storage_(storage), path_(std::move(path)) {}

  // Runs `operation`, which returns a Status or Result. When it is out of space, gives the disk a
  // part of the reserve and runs it anew, until it is not or the reserve is used up. A failed run
  // must leave no trace.
  template <typename Operation>
  auto Run(Operation operation) {
    auto outcome = operation();
    while (IsOutOfSpace(StatusOf(outcome)) && GiveBack()) outcome = operation();
    return outcome;
  }

  // Keeps back again what was given, if the disk has it to spare. No I/O while the reserve is
  // whole.
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
