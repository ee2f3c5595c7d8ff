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
  std::atomic<int64_t> longest_us = 0;
  std::jthread writer([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto start = steady_clock::now();
      if (pwrite(fd, page.get(), kPageBytes, 0) != ssize_t{kPageBytes}) {
        std::perror(argv[1]);
        std::_Exit(1);
      }
      const auto took =
          std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - start);
      // Only this thread raises it. What it raises while it is printed may count twice.
      if (took.count() > longest_us) longest_us = took.count();
    }
  });
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << longest_us.exchange(0) / 1000 << std::endl;
  }
}
