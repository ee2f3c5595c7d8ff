// Writes from the kernel's write cache that failed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace velafs::fuse {

// The program that wrote has been told long ago that all is well. The kernel tells whoever syncs or
// closes the file, but it still shows what was not stored: a server that is started anew would take
// it for stored, and never write it again. So the kernel has to drop it. And should it forget the
// inode, and the error with it, the next fsync fails by what is kept here.
//
// Thread-safe.
class LostWrites {
 public:
  struct Write {
    uint64_t node_id;
    uint64_t offset_bytes;
    uint64_t length_bytes;
  };
  // Has the kernel drop its copy. Runs on a thread of its own: one that serves requests would wait
  // for itself.
  using Drop = std::function<void(const Write&)>;

  explicit LostWrites(Drop drop) : drop_(std::move(drop)) {}
  ~LostWrites();  // drops what is left

  void Note(const Write& write, int error_number);
  // The kernel has forgotten the inode.
  void NoteForgotten(uint64_t node_id);
  // The errno of the last failed write of the file, once, if the kernel has forgotten it; else 0.
  int TakeError(uint64_t node_id);

 private:
  void DropAll();

  const Drop drop_;
  std::atomic<bool> has_errors_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  // The rest is guarded by mutex_.
  struct Error {
    int number = 0;
    bool is_forgotten = false;
  };
  std::unordered_map<uint64_t, Error> errors_;  // by node id
  std::deque<Write> to_drop_;
  bool is_ending_ = false;
  std::thread thread_;  // runs from the first failure on
};

}  // namespace velafs::fuse
