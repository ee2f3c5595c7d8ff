// The daemon's periodic work: deletes expired branches and bookmarks, empties the trash in time,
// makes and thins out bookmarks by schedule, and merges and seals layers.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "velafs/base/periodic_thread.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/store/caller.h"

namespace velafs::store {

class Store;

// Works on threads of its own, from construction to destruction: one for layers, which may take
// long. Its actions and failures go to the log; those on behalf of users also go to the audit log.
class Upkeep {
 public:
  // The store is borrowed; `self` is who this process is.
  Upkeep(Store& store, Caller self)
      : store_(store),
        self_(std::move(self)),
        times_({}, [this] { return Run(&Upkeep::KeepTimes, &times_failure_); }),
        layers_({}, [this] { return Run(&Upkeep::TendLayers, &layers_failure_); }) {}
  ~Upkeep() {  // both threads end at the same time
    times_.Stop();
    layers_.Stop();
  }

 private:
  // Logs a failure, unless it is the last one again.
  PeriodicThread::Wait Run(Status (Upkeep::*tend)(), std::string* last_failure);
  Status KeepTimes();
  Status TendLayers();
  // Runs it, and adds an entry to the audit log with the changes that it reports.
  Status Log(const std::string& verb, const std::function<Status(std::string* subjects)>& run);
  Status Expire(std::string* subjects);
  Status PurgeTrash(std::string* subjects);
  Status RunSchedules();
  Status TrimAuditLog();
  Status MergeLayers();
  Status SealLayers();
  bool GoesOn() const { return !layers_.is_stopping(); }

  Store& store_;
  const Caller self_;
  catalog::CommitSequence merged_at_ = 0;  // the last change after which there was nothing to merge
  std::chrono::steady_clock::time_point seal_next_;  // when to look for layers to seal
  std::chrono::steady_clock::time_point trim_next_;  // when to trim the audit log

  std::string times_failure_;   // the last one logged
  std::string layers_failure_;  // the same of the other thread
  PeriodicThread times_;        // last, with the next: they use the members above
  PeriodicThread layers_;
};

}  // namespace velafs::store
