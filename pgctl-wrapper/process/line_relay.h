// A stream of bytes cut into whole lines, so that several may share an output.
#pragma once

#include <string>
#include <string_view>

namespace velafs::pgctl {

// One thread.
class LineRelay {
 public:
  // The most that is held back of a line that does not end; then it is broken.
  static constexpr size_t kLongestLineBytes = 1 << 20;

  explicit LineRelay(std::string prefix) : prefix_(std::move(prefix)) {}

  // The lines that `bytes` complete, each after the prefix.
  std::string Take(std::string_view bytes);
  // At the stream's end: the rest of it, as a line.
  std::string Finish();

 private:
  const std::string prefix_;
  std::string begun_;  // a line without its end
};

}  // namespace velafs::pgctl
