// How much a directory holds that might be imported, counted for no longer than a user waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace velafs::store {

struct ContentSize {
  uint64_t bytes = 0;  // of regular files
  uint64_t files = 0;
  bool is_more = false;  // not all could be counted

  std::string ToString() const;  // "2.0 GiB in 3 files", "more than 2.0 GiB in 3 files"
};

// Counts with the rights of the calling thread, and follows no link. All counts together take at
// most the time `patience`. One thread.
class ContentMeasure {
 public:
  explicit ContentMeasure(std::chrono::milliseconds patience = std::chrono::seconds(2))
      : patience_(patience) {}
  // The size of a file, or of the files below a directory.
  ContentSize Of(const std::string& path);

 private:
  std::chrono::nanoseconds patience_;
};

}  // namespace velafs::store
