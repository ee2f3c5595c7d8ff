// Does by itself, as long as a daemon runs, what time asks for: deletes what has expired, and
// empties the trash of what has been there long enough.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "velafs/store/store.h"

namespace velafs::store {

// Works on a thread of its own, from construction to destruction. What it does, and what fails,
// goes to the log.
class Upkeep {
 public:
  // The store is borrowed.
  explicit Upkeep(Store& store) : store_(store), thread_([this] { Run(); }) {}
  ~Upkeep();

 private:
  void Run();
  Status RunOnce();

  Store& store_;
  std::string last_failure_;  // a lasting one is logged once

  std::mutex stop_lock_;
  std::condition_variable stop_changed_;
  bool stop_ = false;   // guarded by stop_lock_
  std::thread thread_;  // last: it uses the members above
};

}  // namespace velafs::store
