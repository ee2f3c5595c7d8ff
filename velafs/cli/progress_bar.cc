#include "velafs/cli/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "velafs/base/units.h"

namespace velafs::cli {

using std::chrono::steady_clock;

ProgressBar::ProgressBar(bool enabled)
    : drawing_(enabled && isatty(STDERR_FILENO) == 1), start_(steady_clock::now()) {}

ProgressBar::~ProgressBar() {
  if (drawing_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::Update(uint64_t bytes_done, uint64_t bytes_total) {
  if (!drawing_) return;
  constexpr size_t kWidth = 30;
  const double done = static_cast<double>(bytes_done);
  const double total = static_cast<double>(std::max({bytes_total, bytes_done, uint64_t{1}}));
  const double seconds = std::chrono::duration<double>(steady_clock::now() - start_).count();
  const double rate = seconds > 0 ? done / seconds : 0;

  std::string bar(static_cast<size_t>(kWidth * done / total), '=');
  if (bar.size() < kWidth) bar += '>';
  bar.resize(kWidth, ' ');
  std::string tail = FormatSize(bytes_done) + " of " + FormatSize(bytes_total);
  if (rate > 0) {
    tail += "  " + FormatSize(static_cast<uint64_t>(rate)) + "/s  ";
    tail +=
        FormatDuration(std::chrono::seconds(static_cast<int64_t>((total - done) / rate))) + " left";
  }
  std::fprintf(stderr, "\r[%s] %3.0f%%  %s\x1b[K", bar.c_str(), 100 * done / total, tail.c_str());
  std::fflush(stderr);
}

}  // namespace velafs::cli
