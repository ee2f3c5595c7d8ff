// random_reads FILE COUNT SEED: reads so many pages of 8 KiB at random places of a file, one at a
// time; prints how many microseconds each took on average.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

int main(int argc, char** argv) {
  constexpr off_t kPageBytes = 8192;
  if (argc != 4) return std::fprintf(stderr, "usage: random_reads FILE COUNT SEED\n"), 2;
  const int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || fstat(fd, &info) != 0) return std::perror(argv[1]), 1;
  posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  const long count = std::atol(argv[2]);
  const off_t pages = info.st_size / kPageBytes;
  if (count <= 0 || pages == 0) return std::fprintf(stderr, "nothing to read\n"), 2;
  std::mt19937_64 random(std::strtoull(argv[3], nullptr, 10));
  std::uniform_int_distribution<off_t> page(0, pages - 1);
  std::vector<char> buffer(kPageBytes);
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < count; ++i) {
    const off_t offset = page(random) * kPageBytes;
    if (pread(fd, buffer.data(), buffer.size(), offset) != kPageBytes) {
      return std::perror(argv[1]), 1;
    }
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  std::printf("%.1f\n", took.count() / static_cast<double>(count));
}
