#include "velafs/base/periodic_thread.h"

#include <utility>

namespace velafs {

PeriodicThread::PeriodicThread(Wait first, std::function<Wait()> task)
    : task_(std::move(task)), thread_([this, first] { Run(first); }) {}

PeriodicThread::~PeriodicThread() {
  Stop();
  thread_.join();
}

void PeriodicThread::Stop() {
  {
    std::lock_guard lock(lock_);
    is_stopping_ = true;
  }
  changed_.notify_all();
}

void PeriodicThread::Wake() {
  {
    std::lock_guard lock(lock_);
    is_woken_ = true;
  }
  changed_.notify_all();
}

void PeriodicThread::Run(Wait wait) {
  const auto is_due = [this] { return is_stopping_ || is_woken_; };
  std::unique_lock lock(lock_);
  while (true) {
    if (wait == kUntilWoken) {
      changed_.wait(lock, is_due);
    } else {
      changed_.wait_for(lock, wait, is_due);
    }
    if (is_stopping_) return;
    is_woken_ = false;
    lock.unlock();
    wait = task_();
    lock.lock();
  }
}

}  // namespace velafs
