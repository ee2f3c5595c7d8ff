#include "velafs/os/descriptor_pool.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/os/scratch_directory.h"
#include "velafs/os/storage.h"

namespace {

// What runs before the next pwrite of this thread, and which file's syncs are counted.
thread_local std::function<void()> before_next_write;
std::atomic<ino_t> watched_file = 0;
std::atomic<int> data_syncs = 0;

}  // namespace

// The program's own, so that a test can come between what is written and what is noted.
extern "C" ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  if (before_next_write) std::exchange(before_next_write, nullptr)();
  return syscall(SYS_pwrite64, fd, data, bytes, offset);
}
extern "C" int fdatasync(int fd) {
  struct stat info = {};
  if (watched_file != 0 && fstat(fd, &info) == 0 && info.st_ino == watched_file) ++data_syncs;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace velafs::os {
namespace {

using test::ScratchDirectory;

UniqueFd MakeFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  REQUIRE(fd);
  return fd;
}

ino_t InodeOf(const std::string& path) {
  struct stat info = {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_ino;
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) != -1; }

TEST_CASE("of a pool's descriptors the ones used last stay open, and the others come back") {
  ScratchDirectory directory;
  DescriptorPool pool(3);
  std::vector<std::unique_ptr<PooledDescriptor>> files;
  std::vector<int> fds;
  const auto add = [&] {
    const std::string path = directory / ("f" + std::to_string(files.size()));
    UniqueFd fd = MakeFile(path);
    fds.push_back(fd.get());
    files.push_back(std::make_unique<PooledDescriptor>(pool, std::move(fd), path, O_RDWR));
  };
  for (int i = 0; i < 3; ++i) add();
  for (int fd : fds) CHECK(IsOpen(fd));
  add();  // none was idle before: the hand goes round, and closes the first
  CHECK_FALSE(IsOpen(fds[0]));
  REQUIRE(files[1]->Take().ok());
  add();
  CHECK(IsOpen(fds[1]));
  CHECK_FALSE(IsOpen(fds[2]));

  const auto again = files[0]->Take();
  REQUIRE(again.ok());
  struct stat by_name {};
  struct stat by_fd {};
  REQUIRE(stat((directory / "f0").c_str(), &by_name) == 0);
  REQUIRE(fstat(again->fd(), &by_fd) == 0);
  CHECK(by_name.st_ino == by_fd.st_ino);
}

TEST_CASE("a descriptor in use is never closed") {
  ScratchDirectory directory;
  DescriptorPool pool(1);
  PooledDescriptor first(pool, MakeFile(directory / "first"), directory / "first", O_RDWR);
  const auto use = first.Take();
  REQUIRE(use.ok());
  for (int i = 0; i < 5; ++i) {
    const std::string path = directory / std::to_string(i);
    const PooledDescriptor other(pool, MakeFile(path), path, O_RDWR);
    CHECK(IsOpen(use->fd()));
  }
}

TEST_CASE("a sync that failed when a descriptor was closed fails the next sync too, for good") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  ScratchDirectory directory;
  DescriptorPool pool(1);
  PooledDescriptor unsyncable(pool, UniqueFd(ends[1]), directory / "pipe", O_RDWR);
  CHECK(unsyncable.BeginSync().ok());
  unsyncable.NoteWrite();
  const PooledDescriptor other(pool, MakeFile(directory / "file"), directory / "file", O_RDWR);
  CHECK(unsyncable.BeginSync().error_number() == EINVAL);
  CHECK(unsyncable.BeginSync().error_number() == EINVAL);
}

TEST_CASE("a file whose name has gone says so when it has to be opened again") {
  ScratchDirectory directory;
  DescriptorPool pool(1);
  PooledDescriptor gone(pool, MakeFile(directory / "gone"), directory / "gone", O_RDWR);
  const PooledDescriptor other(pool, MakeFile(directory / "file"), directory / "file", O_RDWR);
  REQUIRE(unlink((directory / "gone").c_str()) == 0);
  CHECK(gone.Take().status().error_number() == ENOENT);
}

// This process may open few files, and has many.
struct FewDescriptors {
  FewDescriptors() {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit few{.rlim_cur = 100, .rlim_max = before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewDescriptors() { CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0); }

  std::unique_ptr<File> OpenNew(const std::string& name) {
    auto file = HostStorage().Open(directory / name, OpenMode::kCreateNew);
    REQUIRE(file.ok());
    return *std::move(file);
  }
  void OpenMany(size_t count) {
    for (size_t i = 0; i < count; ++i) files.push_back(OpenNew(std::to_string(i)));
  }

  rlimit before{};
  ScratchDirectory directory;
  std::vector<std::unique_ptr<File>> files;
};

TEST_CASE_FIXTURE(FewDescriptors,
                  "more files are read and written by several threads than a process may open") {
  constexpr size_t kFiles = 400, kThreads = 4;
  OpenMany(kFiles);
  std::atomic<int> wrong = 0;
  const auto work = [&](size_t thread) {
    for (size_t round = 0; round < 3; ++round) {
      for (size_t i = 0; i < kFiles; ++i) {
        File& file = *files[(i * 7 + thread) % kFiles];
        const auto byte = static_cast<std::byte>(thread + round);
        std::byte found{};
        if (!file.Write(thread, std::span(&byte, 1)).ok()) ++wrong;
        if (!file.Read(thread, std::span(&found, 1)).ok() || found != byte) ++wrong;
      }
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(files[0]->Sync(SyncKind::kFull).ok());
}

TEST_CASE_FIXTURE(FewDescriptors,
                  "a write that a sync on another thread came before is synced when it is closed") {
  const auto file = OpenNew("file");
  watched_file = InodeOf(directory / "file");
  const auto sync_elsewhere = [&] {
    std::thread([&] { CHECK(file->Sync(SyncKind::kData).ok()); }).join();
  };
  const std::byte byte{};
  before_next_write = sync_elsewhere;
  REQUIRE(file->Write(0, std::span(&byte, 1)).ok());
  REQUIRE(data_syncs.exchange(0) == 1);
  OpenMany(200);
  CHECK(data_syncs == 1);
  watched_file = 0;
}

}  // namespace
}  // namespace velafs::os
