// A mutex for each key.
#pragma once

#include <map>
#include <memory>

#include "velafs/base/mutex.h"

namespace velafs {

// Thread-safe. A mutex exists only while somebody has it:
//   const auto mutex = mutexes.Of(key);
//   MutexLock lock(*mutex);
template <typename Key>
class MutexByKey {
 public:
  std::shared_ptr<Mutex> Of(const Key& key) {
    MutexLock lock(mutex_);
    std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<Mutex>& known = known_[key];
    std::shared_ptr<Mutex> mutex = known.lock();
    if (mutex == nullptr) known = mutex = std::make_shared<Mutex>();
    return mutex;
  }

 private:
  Mutex mutex_;
  std::map<Key, std::weak_ptr<Mutex>> known_ GUARDED_BY(mutex_);
};

}  // namespace velafs
