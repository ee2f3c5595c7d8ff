#include "velafs/api/workers.h"

#include <system_error>
#include <utility>

namespace velafs::api {

bool Workers::Run(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  if (stop_ || jobs_.size() >= max_waiting_) return false;
  if (jobs_.size() >= idle_ && threads_.size() < max_threads_) {
    try {
      threads_.emplace_back([this] { Work(); });
    } catch (const std::system_error&) {
      // No more threads are to be had: those that are there see to it, one after another.
      if (threads_.empty()) return false;
    }
  }
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return true;
}

void Workers::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  // Nobody adds to them any more.
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Workers::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

}  // namespace velafs::api
