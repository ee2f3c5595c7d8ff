// Bounds the memory of guests' large answers.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <utility>

#include "velafs/api/guest.h"

namespace velafs::api {

// Lets a fixed number of a guest's answers exist at a time; his others wait. Others never wait.
// Thread-safe.
class Turns {
 public:
  explicit Turns(size_t each) : each_(each) {}

  // Ends with its life.
  class Turn {
   public:
    Turn(Turns* of, Guest guest) : of_(of), guest_(guest) {}
    Turn(Turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)), guest_(other.guest_) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (of_ != nullptr) of_->End(*guest_);
    }

   private:
    Turns* of_;
    const Guest guest_;
  };
  // Waits for it.
  Turn WaitForTurn(const Guest& guest) {
    if (!guest) return {nullptr, guest};
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return taken_[*guest] < each_; });
    ++taken_[*guest];
    return {this, guest};
  }

 private:
  void End(uint32_t guest) {
    {
      std::lock_guard lock(mutex_);
      if (--taken_[guest] == 0) taken_.erase(guest);
    }
    ended_.notify_all();
  }

  const size_t each_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::map<uint32_t, size_t> taken_;  // guarded by mutex_
};

}  // namespace velafs::api
