// Work that only one does at a time, and that others wait for, who may give up.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace velafs::store {

// Thread-safe. Waiting callers get their turn in any order.
class Turn {
 public:
  // The caller's turn, until this is destroyed.
  class Mine {
   public:
    Mine(Mine&& other) noexcept : turn_(std::exchange(other.turn_, nullptr)) {}
    ~Mine() {
      if (turn_ != nullptr) turn_->End();
    }

   private:
    friend class Turn;
    explicit Mine(Turn& turn) : turn_(&turn) {}
    Turn* turn_;
  };

  Mine Wait() {
    return *WaitWhile([] { return true; });
  }
  // Asks `go_on` now and then while somebody else has the turn. Empty once that is false.
  std::optional<Mine> WaitWhile(const std::function<bool()>& go_on) {
    constexpr auto kAskEvery = std::chrono::milliseconds(100);
    std::unique_lock lock(mutex_);
    while (is_taken_) {
      ended_.wait_for(lock, kAskEvery, [this] { return !is_taken_; });
      if (!is_taken_) break;
      lock.unlock();
      if (!go_on()) return {};
      lock.lock();
    }
    is_taken_ = true;
    return Mine(*this);
  }

 private:
  void End() {
    {
      std::lock_guard lock(mutex_);
      is_taken_ = false;
    }
    ended_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  bool is_taken_ = false;  // guarded by mutex_
};

}  // namespace velafs::store
