#include "pgctl-wrapper/process/line_relay.h"

#include <utility>

namespace velafs::pgctl {

std::string LineRelay::Take(std::string_view bytes) {
  std::string lines;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    begun_ += bytes.substr(0, end);
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (end != std::string_view::npos || begun_.size() >= kLongestLineBytes) {
      lines += prefix_ + std::exchange(begun_, "") + "\n";
    }
  }
  return lines;
}

std::string LineRelay::Finish() { return begun_.empty() ? "" : Take("\n"); }

}  // namespace velafs::pgctl
