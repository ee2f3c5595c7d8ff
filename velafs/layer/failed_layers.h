// Layers that a job has failed on.
#pragma once

#include <set>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/os/space_reserve.h"

namespace velafs::layer {

// Thread-safe. The job leaves these layers alone until the process ends: damage is reported once.
class FailedLayers {
 public:
  // Does nothing if the job was stopped (Refused) or had no space: the next attempt may succeed.
  void Add(LayerId layer, const Status& failure) {
    if (failure.code() == Code::kRefused || os::IsOutOfSpace(failure)) return;
    MutexLock lock(lock_);
    layers_.insert(layer);
  }
  std::set<LayerId> All() {
    MutexLock lock(lock_);
    return layers_;
  }

 private:
  Mutex lock_;
  std::set<LayerId> layers_ GUARDED_BY(lock_);
};

// The failures of each kind of job on a volume's layers.
struct FailedJobs {
  FailedLayers merging;  // by lower layer
  FailedLayers sealing;
  FailedLayers settling;
};

}  // namespace velafs::layer
