#include "velafs/os/file_lock.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/os/scratch_directory.h"

namespace velafs::os {
namespace {

using test::ScratchDirectory;

pid_t PidIn(const std::string& path) {
  pid_t pid = 0;
  std::ifstream(path) >> pid;
  return pid;
}

TEST_CASE("a lock that is held is refused at once, with its holder's pid") {
  ScratchDirectory directory;
  const std::string path = directory / "lock";
  pid_t holder = -1;
  const auto lock = FileLock::Acquire(path, &holder);
  REQUIRE(lock.ok());
  CHECK(holder == 0);
  CHECK(PidIn(path) == getpid());

  const auto second = FileLock::Acquire(path, &holder);
  REQUIRE_FALSE(second.ok());
  CHECK(second.status().code() == Code::kLocked);
  CHECK(holder == getpid());
  CHECK(second.status().message().find(std::to_string(getpid())) != std::string::npos);
}

TEST_CASE("a lock ends with its holder, in whatever way the process ends") {
  ScratchDirectory directory;
  const std::string path = directory / "lock";
  pid_t holder = 0;
  { REQUIRE(FileLock::Acquire(path, &holder).ok()); }
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto lock = FileLock::Acquire(path, &holder);
    _exit(lock.ok() ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(PidIn(path) == child);
  CHECK(FileLock::Acquire(path, &holder).ok());
  CHECK(PidIn(path) == getpid());
}

TEST_CASE("a dead process is not named as the holder") {
  ScratchDirectory directory;
  const std::string path = directory / "lock";
  pid_t holder = 0;
  const auto lock = FileLock::Acquire(path, &holder);
  REQUIRE(lock.ok());
  const pid_t dead = fork();
  REQUIRE(dead >= 0);
  if (dead == 0) _exit(0);
  REQUIRE(waitpid(dead, nullptr, 0) == dead);
  std::ofstream(path) << dead << "\n";
  holder = -1;
  CHECK(FileLock::Acquire(path, &holder).status().code() == Code::kLocked);
  CHECK(holder == 0);
}

TEST_CASE("a holder that forks hands the lock on to its child") {
  ScratchDirectory directory;
  const std::string path = directory / "lock";
  pid_t holder = 0;
  auto lock = std::make_unique<Result<FileLock>>(FileLock::Acquire(path, &holder));
  REQUIRE(lock->ok());
  int ready[2];
  int finish[2];
  REQUIRE(pipe(ready) == 0);
  REQUIRE(pipe(finish) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  char byte = 'x';
  if (child == 0) {
    close(finish[1]);
    const bool written = (*lock)->WritePid().ok();
    const bool told = write(ready[1], &byte, 1) == 1;
    const bool waited = read(finish[0], &byte, 1) == 0;  // until the parent closes its end
    _exit(written && told && waited ? 0 : 1);
  }
  REQUIRE(read(ready[0], &byte, 1) == 1);
  lock.reset();
  CHECK(FileLock::Acquire(path, &holder).status().code() == Code::kLocked);
  CHECK(holder == child);
  close(finish[1]);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(FileLock::Acquire(path, &holder).ok());
  for (int fd : {ready[0], ready[1], finish[0]}) close(fd);
}

}  // namespace
}  // namespace velafs::os
