// Locks that clang's -Wthread-safety can check.
#pragma once

#include <pthread.h>

#include "velafs/base/check.h"

#if defined(__clang__)
#define VELAFS_THREAD(attribute) __attribute__((attribute))
#else
#define VELAFS_THREAD(attribute)
#endif

#define GUARDED_BY(lock) VELAFS_THREAD(guarded_by(lock))
#define REQUIRES(...) VELAFS_THREAD(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) VELAFS_THREAD(requires_shared_capability(__VA_ARGS__))
#define EXCLUDES(...) VELAFS_THREAD(locks_excluded(__VA_ARGS__))

namespace velafs {

class VELAFS_THREAD(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() { pthread_mutex_destroy(&mutex_); }

  void Lock() VELAFS_THREAD(acquire_capability()) {
    VELAFS_CHECK(pthread_mutex_lock(&mutex_) == 0);
  }
  void Unlock() VELAFS_THREAD(release_capability()) {
    VELAFS_CHECK(pthread_mutex_unlock(&mutex_) == 0);
  }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

// Readers or one writer. A waiting writer goes before new readers, so that a steady stream of
// readers cannot starve it; a thread must therefore never take it shared twice.
class VELAFS_THREAD(capability("shared_mutex")) SharedMutex {
 public:
  SharedMutex() {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    VELAFS_CHECK(pthread_rwlock_init(&lock_, &attributes) == 0);
    pthread_rwlockattr_destroy(&attributes);
  }
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;
  ~SharedMutex() { pthread_rwlock_destroy(&lock_); }

  void Lock() VELAFS_THREAD(acquire_capability()) {
    VELAFS_CHECK(pthread_rwlock_wrlock(&lock_) == 0);
  }
  void Unlock() VELAFS_THREAD(release_capability()) {
    VELAFS_CHECK(pthread_rwlock_unlock(&lock_) == 0);
  }
  void LockShared() VELAFS_THREAD(acquire_shared_capability()) {
    VELAFS_CHECK(pthread_rwlock_rdlock(&lock_) == 0);
  }
  void UnlockShared() VELAFS_THREAD(release_shared_capability()) {
    VELAFS_CHECK(pthread_rwlock_unlock(&lock_) == 0);
  }

 private:
  pthread_rwlock_t lock_;
};

class VELAFS_THREAD(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) VELAFS_THREAD(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() VELAFS_THREAD(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class VELAFS_THREAD(scoped_lockable) ReaderLock {
 public:
  explicit ReaderLock(SharedMutex& mutex) VELAFS_THREAD(acquire_shared_capability(mutex))
      : mutex_(mutex) {
    mutex_.LockShared();
  }
  ~ReaderLock() VELAFS_THREAD(release_generic_capability()) { mutex_.UnlockShared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex& mutex_;
};

class VELAFS_THREAD(scoped_lockable) WriterLock {
 public:
  explicit WriterLock(SharedMutex& mutex) VELAFS_THREAD(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~WriterLock() VELAFS_THREAD(release_capability()) { mutex_.Unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex& mutex_;
};

}  // namespace velafs
