// Makes commits durable in groups: all callers that wait share one sync.
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

  // Counts a commit and returns its number. One call at a time.
  CommitSequence Committed() { return committed_.fetch_add(1) + 1; }

  // Returns when commit `sequence`, and all before it, are durable. After one failed sync every
  // call fails: data of that sync may be lost, and a later sync would not report it.
  Status MakeDurable(CommitSequence sequence) EXCLUDES(mutex_);

  CommitSequence last_committed() const { return committed_.load(); }
  CommitSequence last_durable() const { return durable_.load(); }

 private:
  std::atomic<CommitSequence> committed_ = 0;
  std::atomic<CommitSequence> durable_ = 0;  // written under mutex_
  std::atomic<bool> has_failed_ = false;     // written under mutex_

  Mutex mutex_;  // held during a sync, so that others wait for its end
  const std::function<Status()> sync_ GUARDED_BY(mutex_);
  Status failure_ GUARDED_BY(mutex_);
};

}  // namespace velafs::catalog
