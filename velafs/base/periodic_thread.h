// A thread that runs one task again and again.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace velafs {

// Thread-safe.
class PeriodicThread {
 public:
  using Wait = std::chrono::nanoseconds;
  static constexpr Wait kUntilWoken = Wait::max();

  // Waits for `first`, runs `task` on a thread of its own, waits for as long as the task returned,
  // runs it again, and so on. With kUntilWoken it waits for a call of Wake.
  PeriodicThread(Wait first, std::function<Wait()> task);
  // Returns once the run under way, if there is one, has ended. No other follows.
  ~PeriodicThread();

  // Ends the wait under way, or else the next one.
  void Wake();
  // No other run begins. The destructor waits for the one under way.
  void Stop();
  // For a long task: whether it must end.
  bool is_stopping() const { return is_stopping_; }

 private:
  void Run(Wait wait);

  const std::function<Wait()> task_;
  std::mutex lock_;
  std::condition_variable changed_;
  bool is_woken_ = false;                  // guarded by lock_
  std::atomic<bool> is_stopping_ = false;  // set under lock_
  std::thread thread_;                     // last: it uses the members above
};

}  // namespace velafs
