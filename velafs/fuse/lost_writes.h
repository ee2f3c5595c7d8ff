// Writes from the kernel's write cache that failed.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>

#include "velafs/base/byte_range.h"
#include "velafs/base/mutex.h"
#include "velafs/base/periodic_thread.h"

namespace velafs::fuse {

// The program that wrote has long been told that the write succeeded. The kernel reports the
// failure to the next sync or close of the file, but it still shows the data that was not stored: a
// restarted server would take it for stored and never write it again. So the kernel must drop it.
// The kernel reports nothing if it forgets the inode first: then the next fsync of the file fails
// because of the error recorded here.
//
// Thread-safe.
class LostWrites {
 public:
  struct Write {
    uint64_t node_id;
    ByteRange range;
  };
  // Makes the kernel drop its copy. Runs on a thread of its own: a thread that serves requests
  // would wait for itself.
  using Drop = std::function<void(const Write&)>;

  explicit LostWrites(Drop drop) : drop_(std::move(drop)) {}

  void Note(const Write& write, int error_number);
  uint64_t noted() const { return noted_; }  // how many, ever
  // The kernel has forgotten the inode.
  void NoteForgotten(uint64_t node_id);
  // For an fsync that reaches the daemon: the errno of the last failed write of the file if the
  // kernel had forgotten the inode; else 0, since the kernel reports the failure itself.
  int TakeError(uint64_t node_id);
  // The errno of the last failed write of one of these files, if recorded here; else 0.
  int ErrorAmong(std::span<const uint64_t> node_ids);
  // On return nothing more is dropped.
  void End();

 private:
  PeriodicThread::Wait DropAll();

  const Drop drop_;
  struct Error {
    int number = 0;
    bool is_forgotten = false;
  };
  std::atomic<uint64_t> noted_ = 0;
  std::atomic<bool> has_errors_ = false;
  Mutex mutex_;
  std::unordered_map<uint64_t, Error> errors_ GUARDED_BY(mutex_);  // by node id
  std::deque<Write> to_drop_ GUARDED_BY(mutex_);
  bool is_ended_ GUARDED_BY(mutex_) = false;
  std::optional<PeriodicThread> thread_;  // made with the first failure, under mutex_
};

}  // namespace velafs::fuse
