// Threads that run what is given to them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace velafs::api {

// As many threads as there have been jobs at a time, up to a limit: a verb may wait for another for
// as long as that takes. Thread-safe.
class Workers {
 public:
  Workers(size_t max_threads, size_t max_waiting)
      : max_threads_(max_threads), max_waiting_(max_waiting) {}
  ~Workers() { Stop(); }

  // A job must not throw. False, and the job is forgotten, when too many wait, or after Stop.
  bool Run(std::function<void()> job);
  // Returns when every job has been run to its end.
  void Stop();

 private:
  void Work();

  const size_t max_threads_;
  const size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool stop_ = false;
};

}  // namespace velafs::api
