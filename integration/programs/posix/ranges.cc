// Sizes, holes and fallocate.
#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <string>

#include "integration/programs/posix/posix.h"

namespace posix {
namespace {

std::string BytesAt(int file, off_t offset, size_t length) {
  std::string text(length, '?');
  const ssize_t got = pread(file, text.data(), length, offset);
  REQUIRE(Outcome(got) == "done");
  text.resize(static_cast<size_t>(got));
  return text;
}

constexpr off_t kGiB = off_t{1} << 30;
constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

TEST_CASE("truncation to any size shows what was there, and zeros") {
  MakeFile("file", std::string(30'000, 'x'));
  const UniqueFd file = Open("file", O_RDWR);
  for (off_t size : {off_t{29'999}, off_t{8193}, off_t{8192}, off_t{8191}, off_t{1}, off_t{0}}) {
    CAPTURE(size);
    CHECK(Outcome(ftruncate(file.get(), size)) == "done");
    CHECK(Stat("file").st_size == size);
    CHECK(ContentOf("file") == std::string(static_cast<size_t>(size), 'x'));
    CHECK(Outcome(truncate("file", size + 20'000)) == "done");
    CHECK(ContentOf("file") ==
          std::string(static_cast<size_t>(size), 'x') + std::string(20'000, '\0'));
    CHECK(Outcome(ftruncate(file.get(), size)) == "done");
  }
  CHECK(Outcome(ftruncate(file.get(), -1)) == "EINVAL");
  CHECK(Outcome(truncate("file", -1)) == "EINVAL");
  const UniqueFd reader = Open("file", O_RDONLY);
  CHECK(Outcome(ftruncate(reader.get(), 0)) == "EINVAL");
}

TEST_CASE("sparse files reach beyond 4 GiB, and take the space of what is written") {
  const UniqueFd file = Open("file", O_CREAT | O_RDWR);
  for (off_t at : {off_t{0}, 4 * kGiB - 3, 5 * kGiB, 1000 * kGiB}) {
    CHECK(pwrite(file.get(), "datum", 5, at) == 5);
    CHECK(BytesAt(file.get(), at, 5) == "datum");
    CHECK(Stat("file").st_size == at + 5);
  }
  CHECK(BytesAt(file.get(), 4 * kGiB + 100, 4) == std::string(4, '\0'));
  CHECK(OpenOutcome("file", O_RDONLY) == "done");  // where writes are cached, closing it sends them
  CHECK(Stat("file").st_blocks * 512 < (1 << 20));
  CHECK(Stat("file").st_blocks > 0);
  CHECK(Outcome(ftruncate(file.get(), 5)) == "done");
  CHECK(ContentOf("file") == "datum");
}

TEST_CASE("reading stops at the end, and writing may begin beyond it") {
  const UniqueFd file = Open("file", O_CREAT | O_RDWR);
  CHECK(BytesAt(file.get(), 0, 10).empty());
  CHECK(pwrite(file.get(), "x", 1, 9'999) == 1);
  CHECK(BytesAt(file.get(), 9'990, 100) == std::string(9, '\0') + "x");
  CHECK(BytesAt(file.get(), 10'000, 10).empty());
  CHECK(BytesAt(file.get(), 1 << 30, 10).empty());
}

TEST_SUITE("write-through") {
  TEST_CASE("SEEK_DATA and SEEK_HOLE find what is there") {
    const UniqueFd file = Open("file", O_CREAT | O_RDWR);
    CHECK(Outcome(lseek(file.get(), 0, SEEK_DATA)) == "ENXIO");
    CHECK(Outcome(lseek(file.get(), 0, SEEK_HOLE)) == "ENXIO");
    const std::string data(65'536, 'd');
    CHECK(pwrite(file.get(), data.data(), data.size(), 1 << 20) == 65'536);
    CHECK(Outcome(ftruncate(file.get(), 4 << 20)) == "done");
    CHECK(Outcome(fsync(file.get())) == "done");
    CHECK(lseek(file.get(), 0, SEEK_DATA) == 1 << 20);
    CHECK(lseek(file.get(), 0, SEEK_HOLE) == 0);
    CHECK(lseek(file.get(), (1 << 20) + 100, SEEK_DATA) == (1 << 20) + 100);
    CHECK(lseek(file.get(), 1 << 20, SEEK_HOLE) == (1 << 20) + 65'536);
    CHECK(Outcome(lseek(file.get(), 2 << 20, SEEK_DATA)) == "ENXIO");
    CHECK(lseek(file.get(), 2 << 20, SEEK_HOLE) == 2 << 20);
    CHECK(Outcome(lseek(file.get(), 4 << 20, SEEK_HOLE)) == "ENXIO");
    CHECK(Outcome(fallocate(file.get(), kPunch, 1 << 20, 65'536)) == "done");
    CHECK(Outcome(lseek(file.get(), 0, SEEK_DATA)) == "ENXIO");
  }
}

TEST_CASE("fallocate reserves, zeroes and punches") {
  MakeFile("file", std::string(40'000, 'x'));
  const UniqueFd file = Open("file", O_RDWR);
  CHECK(Outcome(fallocate(file.get(), 0, 30'000, 20'000)) == "done");
  CHECK(Stat("file").st_size == 50'000);
  CHECK(BytesAt(file.get(), 39'999, 3) == std::string("x\0\0", 3));
  CHECK(Outcome(fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 50'000, 1 << 20)) == "done");
  CHECK(Stat("file").st_size == 50'000);
  CHECK(Stat("file").st_blocks * 512 >= 1 << 20);
  CHECK(Outcome(fallocate(file.get(), kPunch, 100, 20'000)) == "done");
  CHECK(BytesAt(file.get(), 99, 3) == std::string("x\0\0", 3));
  CHECK(BytesAt(file.get(), 20'098, 4) == std::string("\0\0xx", 4));
  CHECK(Outcome(fallocate(file.get(), FALLOC_FL_ZERO_RANGE, 39'000, 21'000)) == "done");
  CHECK(Stat("file").st_size == 60'000);
  CHECK(BytesAt(file.get(), 38'999, 2) == std::string("x\0", 2));
  CHECK(Outcome(fallocate(file.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 30'000,
                          90'000)) == "done");
  CHECK(Stat("file").st_size == 60'000);
  CHECK(BytesAt(file.get(), 29'999, 2) == std::string("x\0", 2));
  CHECK(Outcome(fallocate(file.get(), kPunch, 70'000, 10'000)) == "done");
  CHECK(Stat("file").st_size == 60'000);

  CHECK(Outcome(fallocate(file.get(), 0, 0, 0)) == "EINVAL");
  CHECK(Outcome(fallocate(file.get(), 0, -1, 10)) == "EINVAL");
  CHECK(Outcome(fallocate(file.get(), 0, INT64_MAX - 5, 10)) == "EFBIG");
  CHECK(Outcome(fallocate(file.get(), FALLOC_FL_PUNCH_HOLE, 0, 10)) == "EOPNOTSUPP");
  const UniqueFd reader = Open("file", O_RDONLY);
  CHECK(Outcome(fallocate(reader.get(), 0, 0, 10)) == "EBADF");
  const UniqueFd directory = Open(".", O_RDONLY);
  CHECK(Outcome(fallocate(directory.get(), 0, 0, 10)) == "EBADF");
}

TEST_CASE("a file of nothing but reserved space reads as zeros when it grows") {
  const UniqueFd file = Open("file", O_CREAT | O_RDWR);
  CHECK(Outcome(fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, 100'000)) == "done");
  CHECK(Stat("file").st_size == 0);
  CHECK(pwrite(file.get(), "x", 1, 50'000) == 1);
  CHECK(ContentOf("file") == std::string(50'000, '\0') + "x");
  CHECK(Outcome(ftruncate(file.get(), 10)) == "done");
  CHECK(Outcome(ftruncate(file.get(), 60'000)) == "done");
  CHECK(ContentOf("file") == std::string(60'000, '\0'));
}

TEST_CASE("a write beyond the caller's limit of file size is EFBIG") {
  const auto limited = [](const std::function<bool(int)>& body) {
    return InChild([&] {
      const rlimit limit{.rlim_cur = 10'000, .rlim_max = RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &limit);
      signal(SIGXFSZ, SIG_IGN);
      const int file = open("file", O_CREAT | O_RDWR | O_TRUNC, 0644);
      return file >= 0 && body(file) ? 0 : 1;
    });
  };
  CHECK(limited([](int file) {
          const std::string data(20'000, 'x');
          return write(file, data.data(), data.size()) == 10'000 && write(file, "x", 1) == -1 &&
                 errno == EFBIG;
        }) == 0);
  CHECK(limited([](int file) { return ftruncate(file, 10'001) == -1 && errno == EFBIG; }) == 0);
  CHECK(limited([](int file) { return ftruncate(file, 10'000) == 0; }) == 0);
  CHECK(limited([](int file) { return fallocate(file, 0, 0, 10'001) == -1 && errno == EFBIG; }) ==
        0);
}

// These limits are those of ext4 with blocks of 4 KiB, on which the directory, or the store, lies.
TEST_SUITE("ext4") {
  constexpr off_t kLargest = (off_t{1} << 44) - 4096;

  TEST_CASE("a file grows to 16 TiB, and no further") {
    const UniqueFd file = Open("file", O_CREAT | O_RDWR);
    CHECK(Outcome(ftruncate(file.get(), kLargest)) == "done");
    CHECK(Outcome(ftruncate(file.get(), kLargest + 1)) == "EFBIG");
    CHECK(Outcome(ftruncate(file.get(), INT64_MAX)) == "EFBIG");
    CHECK(Outcome(truncate("file", INT64_MAX)) == "EFBIG");
    CHECK(Stat("file").st_size == kLargest);
    CHECK(pwrite(file.get(), "end", 3, kLargest - 3) == 3);
    CHECK(BytesAt(file.get(), kLargest - 3, 9) == "end");
    CHECK(Outcome(fallocate(file.get(), 0, kLargest, 1)) == "EFBIG");
    CHECK(Stat("file").st_size == kLargest);
    CHECK(Outcome(ftruncate(file.get(), 0)) == "done");
  }
}

// Where writes are cached, the fsync says so.
TEST_SUITE("ext4 write-through") {
  TEST_CASE("a write beyond 16 TiB is EFBIG") {
    const UniqueFd file = Open("file", O_CREAT | O_RDWR);
    CHECK(Outcome(pwrite(file.get(), "x", 1, off_t{1} << 44)) == "EFBIG");
    CHECK(Outcome(pwrite(file.get(), "x", 1, INT64_MAX - 1)) == "EFBIG");
    CHECK(Stat("file").st_size == 0);
  }
}

}  // namespace
}  // namespace posix
