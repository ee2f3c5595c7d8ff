// Does by itself, as long as a daemon runs, what time asks for: deletes what has expired, empties
// the trash of what has been there long enough, and makes and thins out bookmarks by schedule.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "velafs/store/store.h"

namespace velafs::store {

// Works on a thread of its own, from construction to destruction. What it does, and what fails,
// goes to the log; what it does, also to the audit log.
class Upkeep {
 public:
  // The store is borrowed; `self` is who this process is.
  Upkeep(Store& store, Caller self)
      : store_(store), self_(std::move(self)), thread_([this] { Run(); }) {}
  ~Upkeep();

 private:
  void Run();
  Status RunOnce();
  // Runs it, and makes an entry in the audit log of what it says it changed.
  Status Log(const std::string& verb, const std::function<Status(std::string* subjects)>& run);
  Status Expire(std::string* subjects);
  Status PurgeTrash(std::string* subjects);
  Status RunSchedules();
  Status MergeLayers();

  Store& store_;
  const Caller self_;
  std::string last_failure_;               // a lasting one is logged once
  catalog::CommitSequence merged_at_ = 0;  // the last change after which there was nothing to merge

  std::mutex stop_lock_;
  std::condition_variable stop_changed_;
  bool stop_ = false;   // guarded by stop_lock_
  std::thread thread_;  // last: it uses the members above
};

}  // namespace velafs::store
