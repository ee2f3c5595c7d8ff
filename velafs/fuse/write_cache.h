// The kernel's write cache: what programs have written to files of a mount, and the kernel has not
// sent to the daemon yet.
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

// Has the kernel send it. That is done by other processes: they open and close files of the mount,
// which takes rights that the daemon gives up, and no thread that serves requests may wait for one.
// Thread-safe.
class WriteCache {
 public:
  static constexpr char kCannotStore[] = "the last writes cannot be stored";

  // For a mount that is there. Must be called while this process has no other thread. Refused if it
  // may not open files by their node ids (CAP_DAC_READ_SEARCH).
  static Result<std::unique_ptr<WriteCache>> Start(const std::string& mountpoint);

  // On success the daemon has answered all writes that were made to these files, given by node id,
  // before the call. Fails with the errno of a write that the daemon refused (ENOSPC, EIO) if no
  // close of the file has reported it; an fsync of the file still reports it, too. Any other errno
  // says that a file could not be opened: the mountpoint leads elsewhere, the file has a lease, a
  // helper was killed or has not answered in time; then some of the files are not sent. Takes 4 us
  // for a file with nothing to send, and loads nothing into the kernel's caches.
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
