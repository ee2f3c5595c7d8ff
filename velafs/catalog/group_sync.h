// Makes commits durable in groups: one sync serves everybody who waits for it.
#pragma once

#include <atomic>
#include <functional>
#include <utility>

#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::catalog {

// Thread-safe.
class GroupSync {
 public:
  // `sync` makes everything durable that was committed before it was called; one call at a time.
  explicit GroupSync(std::function<Status()> sync) : sync_(std::move(sync)) {}

  // The commits up to the number returned have happened. Callers of Committed take turns.
  CommitSequence Committed() { return committed_.fetch_add(1) + 1; }

  // Returns when commit `sequence`, and all before it, are durable. After one failed sync every
  // call fails: what that sync should have written may be lost, and a later sync would not tell.
  Status MakeDurable(CommitSequence sequence) EXCLUDES(mutex_);

  CommitSequence last_committed() const { return committed_.load(); }
  CommitSequence last_durable() const { return durable_.load(); }

 private:
  std::atomic<CommitSequence> committed_ = 0;
  std::atomic<CommitSequence> durable_ = 0;  // written under mutex_
  std::atomic<bool> has_failed_ = false;     // written under mutex_

  Mutex mutex_;  // held through a sync: who waits for it waits for the running sync
  const std::function<Status()> sync_ GUARDED_BY(mutex_);
  Status failure_ GUARDED_BY(mutex_);
};

}  // namespace velafs::catalog
