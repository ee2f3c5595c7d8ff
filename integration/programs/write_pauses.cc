// write_pauses FILE: writes a page of 8 KiB past the cache, again and again. For each line on
// standard input, prints how many milliseconds the longest of these writes took since the last
// one. Ends with standard input.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

int main(int argc, char** argv) {
  using std::chrono::steady_clock;
  constexpr size_t kPageBytes = 8192;
  if (argc != 2) return std::fprintf(stderr, "usage: write_pauses FILE\n"), 2;
  const int fd = open(argv[1], O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
  if (fd < 0) return std::perror(argv[1]), 1;
  const std::unique_ptr<void, decltype(&std::free)> page(std::aligned_alloc(kPageBytes, kPageBytes),
                                                         &std::free);
  std::fill_n(static_cast<char*>(page.get()), kPageBytes, 'p');
  const auto now_us = [] {
    const auto since = steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
  };
  std::atomic<int64_t> longest_us = 0;
  std::atomic<int64_t> started_us = now_us();  // the write that is under way
  std::jthread writer([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      started_us = now_us();
      if (pwrite(fd, page.get(), kPageBytes, 0) != ssize_t{kPageBytes}) {
        std::perror(argv[1]);
        std::_Exit(1);
      }
      // Only this thread raises it. What it raises while it is printed may count twice.
      const int64_t took_us = now_us() - started_us;
      if (took_us > longest_us) longest_us = took_us;
    }
  });
  for (std::string line; std::getline(std::cin, line);) {
    const int64_t so_far_us = now_us() - started_us;
    std::cout << std::max(longest_us.exchange(0), so_far_us) / 1000 << std::endl;
  }
}
