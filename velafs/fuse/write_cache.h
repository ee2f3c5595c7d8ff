// The kernel's write cache: writes to files of a mount that the kernel has not sent to the daemon
// yet.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/os/helper.h"

namespace velafs::fuse {

// Makes the kernel send it. Other processes do this: they open and close files of the mount, which
// needs rights that the daemon gives up, and a thread that serves requests must not wait for a
// request. Thread-safe.
class WriteCache {
 public:
  static constexpr char kCannotStore[] = "the last writes cannot be stored";

  // For a mount that is there. Must be called while this process has no other thread. Refused if it
  // may not open files by their node ids (CAP_DAC_READ_SEARCH).
  static Result<std::unique_ptr<WriteCache>> Start(const std::string& mountpoint);

  // On success the daemon has answered all writes that were made to these files, given by node id,
  // before the call. Fails with the errno of a write that the daemon refused (ENOSPC, EIO) if no
  // close of the file has reported it; an fsync of the file still reports it, too. Any other errno
  // means that a file could not be opened: the mountpoint leads elsewhere, the file has a lease, a
  // helper was killed or has not answered in time; then some of the files are not sent. A file with
  // nothing to send takes 4 us, and nothing is loaded into the kernel's caches.
  Status Send(std::span<const uint64_t> nodes);
  // Whether that is such a write, not a file that could not be opened.
  static bool IsRefusedWrite(const Status& sent);

 private:
  WriteCache() = default;
  Status Ask(std::span<const uint64_t> nodes);

  std::vector<std::unique_ptr<os::Helper>> helpers_;  // one long request must not hold up others
  std::mutex mutex_;
  std::condition_variable is_free_;
  // Guarded by mutex_.
  std::vector<os::Helper*> free_;
  size_t living_ = 0;  // helpers that nobody has killed
};

}  // namespace velafs::fuse
