// A line on a terminal's standard error that shows how far a long command is.
#pragma once

#include <chrono>
#include <cstdint>

namespace velafs::cli {

// One thread. Draws nothing if it is disabled or standard error is not a terminal.
class ProgressBar {
 public:
  explicit ProgressBar(bool enabled);
  ~ProgressBar();  // clears the line

  // With rate and time left, from the bytes done since construction.
  void Update(uint64_t bytes_done, uint64_t bytes_total);

 private:
  const bool drawing_;
  const std::chrono::steady_clock::time_point start_;
};

}  // namespace velafs::cli
