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

// The program that wrote has been told long ago that all is well. The kernel tells whoever syncs or
// closes the file, but it still shows what was not stored: a server that is started anew would take
// it for stored, and never write it again. So the kernel has to drop it. It tells nobody if it
// forgets the inode first: then the next fsync of the file fails by what is kept here.
//
// Thread-safe.
class LostWrites {
 public:
  struct Write {
    uint64_t node_id;
    ByteRange range;
  };
  // Has the kernel drop its copy. Runs on a thread of its own: one that serves requests would wait
  // for itself.
  using Drop = std::function<void(const Write&)>;

  explicit LostWrites(Drop drop) : drop_(std::move(drop)) {}

  void Note(const Write& write, int error_number);
  uint64_t noted() const { return noted_; }  // how many, ever
  // The kernel has forgotten the inode.
  void NoteForgotten(uint64_t node_id);
  // For an fsync that gets here: the errno of the last failed write of the file if the kernel had
  // forgotten it, else 0: then the kernel has told somebody.
  int TakeError(uint64_t node_id);
  // The errno of the last failed write of one of these files that is kept here; 0 if there is none.
  int ErrorAmong(std::span<const uint64_t> node_ids);
  // Nothing is dropped any more on return.
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
