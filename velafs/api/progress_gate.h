// Progress of a verb on its way to the caller.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>

#include "velafs/api/verbs.h"
#include "velafs/client.h"

namespace velafs::api {

// Passes on at most one event per interval, and remembers a caller's wish to stop. One thread at a
// time.
class ProgressGate {
 public:
  // `sink` may be empty.
  explicit ProgressGate(const ProgressFn& sink) : sink_(sink) {}

  // False once the verb is to stop. `make_event` is called only when its event is passed on.
  template <typename MakeEvent>
  bool Pass(MakeEvent make_event) {
    const auto now = std::chrono::steady_clock::now();
    if (!sink_ || now < next_) return !stopped_;
    next_ = now + std::chrono::milliseconds(kProgressIntervalMs);
    stopped_ = !sink_(make_event());
    return !stopped_;
  }
  bool stopped() const { return stopped_; }

 private:
  const ProgressFn& sink_;
  std::chrono::steady_clock::time_point next_;
  bool stopped_ = false;
};

// For a verb without progress: asks the caller now and then whether to go on. The answer no is
// final. One thread at a time.
class Asking {
 public:
  // `sink` may be empty.
  explicit Asking(const ProgressFn& sink) : sink_(sink) {}

  bool GoOn() {
    const auto now = std::chrono::steady_clock::now();
    if (!sink_ || now < next_ || stopped_) return !stopped_;
    next_ = now + std::chrono::milliseconds(kProgressIntervalMs);
    stopped_ = !sink_(nlohmann::json::object());
    return !stopped_;
  }

 private:
  const ProgressFn& sink_;
  // A verb that is done soon asks nothing.
  std::chrono::steady_clock::time_point next_ =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kProgressIntervalMs);
  bool stopped_ = false;
};

}  // namespace velafs::api
