// Opening, reading, writing and mapping of regular files.
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>

#include "integration/programs/posix/posix.h"

namespace posix {
namespace {

std::string At(int file, off_t offset, size_t length) {
  std::string text(length, '?');
  const ssize_t got = pread(file, text.data(), length, offset);
  REQUIRE(Outcome(got) == "done");
  text.resize(static_cast<size_t>(got));
  return text;
}

TEST_CASE("open does what its flags say") {
  MakeFile("file", "content");
  CHECK(Outcome(mkdir("directory", 0755)) == "done");
  CHECK(Outcome(symlink("file", "link")) == "done");
  CHECK(Outcome(symlink("missing", "dangling")) == "done");
  CHECK(OpenOutcome("missing", O_RDWR) == "ENOENT");
  CHECK(OpenOutcome("file", O_CREAT | O_EXCL | O_RDWR) == "EEXIST");
  CHECK(OpenOutcome("dangling", O_CREAT | O_EXCL | O_RDWR) == "EEXIST");
  CHECK(OpenOutcome("dangling", O_RDONLY) == "ENOENT");
  CHECK(OpenOutcome("link", O_RDONLY | O_NOFOLLOW) == "ELOOP");
  CHECK(OpenOutcome("link", O_PATH | O_NOFOLLOW) == "done");
  CHECK(OpenOutcome("file", O_RDONLY | O_DIRECTORY) == "ENOTDIR");
  CHECK(OpenOutcome("directory", O_RDONLY | O_DIRECTORY) == "done");
  CHECK(OpenOutcome("directory", O_WRONLY) == "EISDIR");
  CHECK(OpenOutcome("directory", O_RDWR) == "EISDIR");
  CHECK(OpenOutcome("directory", O_RDONLY | O_CREAT) == "EISDIR");
  CHECK(OpenOutcome("directory", O_RDONLY | O_TRUNC) == "EISDIR");
  CHECK(Outcome(truncate("directory", 0)) == "EISDIR");
  CHECK(OpenOutcome("dangling", O_CREAT | O_RDWR) == "done");
  CHECK(Exists("missing"));
  CHECK(OpenOutcome("file", O_CREAT | O_RDWR, 0) == "done");
  CHECK(ContentOf("file") == "content");
  CHECK(OpenOutcome("file", O_RDWR | O_TRUNC) == "done");
  CHECK(ContentOf("file").empty());
}

TEST_CASE("O_APPEND writes at the end, wherever the position is") {
  const UniqueFd file = Open("file", O_CREAT | O_RDWR | O_APPEND);
  const UniqueFd other = Open("file", O_RDWR);
  CHECK(write(file.get(), "one", 3) == 3);
  CHECK(write(other.get(), "twotwo", 6) == 6);
  CHECK(lseek(file.get(), 0, SEEK_SET) == 0);
  CHECK(write(file.get(), "three", 5) == 5);
  CHECK(lseek(file.get(), 0, SEEK_CUR) == 11);
  CHECK(pwrite(file.get(), "four", 4, 0) == 4);  // Linux appends here too
  CHECK(ContentOf("file") == "twotwothreefour");
}

TEST_CASE("several processes append whole records") {
  constexpr int kWriters = 4, kRecords = 200;
  MakeFile("file");
  std::vector<pid_t> writers;
  for (int i = 0; i < kWriters; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      const int file = open("file", O_WRONLY | O_APPEND);
      const std::string record(100, static_cast<char>('a' + i));
      for (int n = 0; n < kRecords; ++n) {
        if (write(file, record.data(), record.size()) != 100) _exit(1);
      }
      _exit(0);
    }
    writers.push_back(pid);
  }
  for (pid_t pid : writers) {
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }
  const std::string content = ContentOf("file");
  REQUIRE(content.size() == kWriters * kRecords * 100);
  for (size_t at = 0; at < content.size(); at += 100) {
    REQUIRE(content.substr(at, 100) == std::string(100, content[at]));
  }
}

TEST_CASE("a file without a name works until it is closed") {
  const UniqueFd file = Open("file", O_CREAT | O_RDWR);
  CHECK(write(file.get(), "content", 7) == 7);
  CHECK(Outcome(unlink("file")) == "done");
  struct stat found {};
  CHECK(Outcome(fstat(file.get(), &found)) == "done");
  CHECK(found.st_nlink == 0);
  CHECK(found.st_size == 7);
  CHECK(pwrite(file.get(), "more", 4, 10'000) == 4);
  CHECK(Outcome(fsync(file.get())) == "done");
  CHECK(Outcome(fchmod(file.get(), 0600)) == "done");
  CHECK(Outcome(ftruncate(file.get(), 10'002)) == "done");
  CHECK(Outcome(futimens(file.get(), nullptr)) == "done");
  CHECK(Outcome(fallocate(file.get(), 0, 0, 20'000)) == "done");
  CHECK(At(file.get(), 0, 7) == "content");
  CHECK(At(file.get(), 10'000, 4) == std::string("mo\0\0", 4));
  CHECK(Outcome(fstat(file.get(), &found)) == "done");
  CHECK(found.st_size == 20'000);
  CHECK((found.st_mode & 07777) == 0600);
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  CHECK(Outcome(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "again", AT_SYMLINK_FOLLOW)) == "ENOENT");
  MakeFile("file", "another");
  CHECK(At(file.get(), 0, 7) == "content");
}

TEST_CASE("an open file is linked again while it has a name") {
  const UniqueFd file = Open("file", O_CREAT | O_RDWR);
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  CHECK(Outcome(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "again", AT_SYMLINK_FOLLOW)) == "done");
  CHECK(Stat("again").st_nlink == 2);
  CHECK(Outcome(rename("again", "file")) == "done");  // two names of one file
  CHECK(Stat("again").st_nlink == 2);
}

TEST_CASE("a write through one descriptor is read through every other, and a mapping") {
  const UniqueFd one = Open("file", O_CREAT | O_RDWR);
  const UniqueFd two = Open("file", O_RDWR);
  CHECK(Outcome(ftruncate(one.get(), 100'000)) == "done");
  auto* map =
      static_cast<char*>(mmap(nullptr, 100'000, PROT_READ | PROT_WRITE, MAP_SHARED, two.get(), 0));
  REQUIRE(map != MAP_FAILED);
  CHECK(pwrite(one.get(), "written", 7, 50'000) == 7);
  CHECK(At(two.get(), 50'000, 7) == "written");
  CHECK(std::string(map + 50'000, 7) == "written");
  std::memcpy(map + 8190, "mapped", 6);  // over a border of pages
  CHECK(At(one.get(), 8190, 6) == "mapped");
  CHECK(Outcome(msync(map, 100'000, MS_SYNC)) == "done");
  CHECK(Outcome(munmap(map, 100'000)) == "done");
  CHECK(At(one.get(), 8190, 6) == "mapped");
  const UniqueFd direct = Open("file", O_RDONLY | O_DIRECT);
  alignas(4096) char block[4096];
  CHECK(pread(direct.get(), block, sizeof block, 49'152) == 4096);
  CHECK(std::string(block + 848, 7) == "written");
}

TEST_CASE("a mapping that is written before a truncation does not bring the content back") {
  const UniqueFd file = Open("file", O_CREAT | O_RDWR);
  CHECK(Outcome(ftruncate(file.get(), 65'536)) == "done");
  auto* map =
      static_cast<char*>(mmap(nullptr, 65'536, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  REQUIRE(map != MAP_FAILED);
  std::memset(map, 'x', 65'536);
  CHECK(Outcome(ftruncate(file.get(), 10'000)) == "done");
  CHECK(Outcome(ftruncate(file.get(), 65'536)) == "done");
  CHECK(std::string(map + 9'990, 20) == std::string(10, 'x') + std::string(10, '\0'));
  CHECK(At(file.get(), 60'000, 3) == std::string(3, '\0'));
  CHECK(Outcome(munmap(map, 65'536)) == "done");
  CHECK(InChild([&] {
          auto* past = static_cast<volatile char*>(
              mmap(nullptr, 200'000, PROT_READ, MAP_SHARED, file.get(), 0));
          return past[150'000];  // past the end
        }) == -SIGBUS);
}

TEST_CASE("a private mapping changes nothing") {
  MakeFile("file", "content");
  const UniqueFd file = Open("file", O_RDWR);
  auto* map =
      static_cast<char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.get(), 0));
  REQUIRE(map != MAP_FAILED);
  map[0] = 'X';
  CHECK(Outcome(munmap(map, 4096)) == "done");
  CHECK(ContentOf("file") == "content");
}

TEST_CASE("O_DIRECT reads and writes what others see, in whole blocks") {
  MakeFile("file", std::string(20'000, 'x'));
  const UniqueFd direct = Open("file", O_RDWR | O_DIRECT);
  const UniqueFd cached = Open("file", O_RDWR);
  alignas(4096) char block[8192];
  CHECK(At(cached.get(), 4096, 1) == "x");
  std::memset(block, 'd', sizeof block);
  CHECK(pwrite(direct.get(), block, 8192, 4096) == 8192);
  CHECK(At(cached.get(), 4095, 3) == "xdd");
  CHECK(pwrite(cached.get(), "c", 1, 5000) == 1);
  CHECK(pread(direct.get(), block, 4096, 4096) == 4096);
  CHECK(block[5000 - 4096] == 'c');
  CHECK(pread(direct.get(), block, 8192, 16'384) == 20'000 - 16'384);
  CHECK(pread(direct.get(), block, 8192, 20'480) == 0);
  CHECK(pwrite(direct.get(), block, 4096, 40'960) == 4096);
  CHECK(Stat("file").st_size == 45'056);
  CHECK(At(cached.get(), 30'000, 2) == std::string(2, '\0'));
}

TEST_CASE("a program that runs cannot be written, nor one that is written run") {
  std::filesystem::copy_file("/bin/sleep", "program");
  const auto run = [] {
    execl("./program", "program", "1000", nullptr);
    _exit(errno == ETXTBSY ? 126 : 127);
  };
  const pid_t child = fork();
  if (child == 0) run();
  const std::string running = "/proc/" + std::to_string(child) + "/exe";
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  while (std::filesystem::read_symlink(running) == self) usleep(1000);
  CHECK(OpenOutcome("program", O_RDWR) == "ETXTBSY");
  CHECK(Outcome(truncate("program", 0)) == "ETXTBSY");
  kill(child, SIGKILL);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  const UniqueFd writer = Open("program", O_RDWR);
  CHECK(InChild([&] {
          run();
          return 0;
        }) == 126);
}

TEST_CASE("record locks, OFD locks and flock hold between processes") {
  MakeFile("file", "content");
  const UniqueFd file = Open("file", O_RDWR);
  const auto range = [](short type, off_t start, off_t length) {
    struct flock wanted {};
    wanted.l_type = type;
    wanted.l_whence = SEEK_SET;
    wanted.l_start = start;
    wanted.l_len = length;
    return wanted;
  };
  // Whether another process gets the lock.
  const auto others_get = [&](int command, short type, off_t start, off_t length) {
    return InChild([&] {
             const int mine = open("file", O_RDWR);
             struct flock wanted = range(type, start, length);
             return fcntl(mine, command, &wanted) == 0 ? 0 : 1;
           }) == 0;
  };
  for (int command : {F_SETLK, F_OFD_SETLK}) {
    CAPTURE(command);
    struct flock lock = range(F_WRLCK, 10, 10);
    CHECK(Outcome(fcntl(file.get(), command, &lock)) == "done");
    CHECK_FALSE(others_get(command, F_WRLCK, 15, 1));
    CHECK_FALSE(others_get(command, F_RDLCK, 0, 11));
    CHECK(others_get(command, F_WRLCK, 0, 10));
    CHECK(others_get(command, F_WRLCK, 20, 0));
    lock = range(F_RDLCK, 0, 0);
    CHECK(Outcome(fcntl(file.get(), command, &lock)) == "done");
    CHECK(others_get(command, F_RDLCK, 0, 0));
    CHECK_FALSE(others_get(command, F_WRLCK, 500, 1));
    lock = range(F_UNLCK, 0, 0);
    CHECK(Outcome(fcntl(file.get(), command, &lock)) == "done");
    CHECK(others_get(command, F_WRLCK, 0, 0));
  }
  const auto others_flock = [](int operation) {
    return InChild([&] { return flock(open("file", O_RDWR), operation | LOCK_NB) == 0 ? 0 : 1; });
  };
  CHECK(Outcome(flock(file.get(), LOCK_SH)) == "done");
  CHECK(others_flock(LOCK_SH) == 0);
  CHECK(others_flock(LOCK_EX) == 1);
  CHECK(Outcome(flock(file.get(), LOCK_UN)) == "done");
  CHECK(others_flock(LOCK_EX) == 0);
}

TEST_CASE("statvfs tells of a filesystem with room in it") {
  struct statvfs space {};
  REQUIRE(Outcome(statvfs(".", &space)) == "done");
  CHECK(space.f_namemax == 255);
  CHECK(space.f_frsize >= 512);
  CHECK(space.f_blocks > 0);
  CHECK(space.f_bfree <= space.f_blocks);
  CHECK(space.f_bavail <= space.f_bfree);
  CHECK(space.f_bavail > 0);
  CHECK(space.f_ffree <= space.f_files);
  CHECK((space.f_flag & ST_RDONLY) == 0);
}

}  // namespace
}  // namespace posix
