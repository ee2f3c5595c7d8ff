#include "velafs/os/confinement.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>

namespace velafs::os {
namespace {

// What a confined process ends with: 0 when `does` is true in there.
int StatusOf(const std::function<bool()>& does) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) _exit(ConfineToOpenFiles().ok() ? (does() ? 0 : 1) : 2);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

TEST_CASE("a confined process reads and writes what it has open, and gets memory") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  CHECK(StatusOf([&] {
          char byte = 'x';
          if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) return false;
          void* const large = std::malloc(50'000'000);
          if (large == nullptr) return false;
          std::free(large);
          return byte == 'x';
        }) == 0);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("a confined process can do nothing else") {
  const pid_t parent = getpid();
  CHECK(StatusOf([] { return open("/etc/passwd", O_RDONLY) < 0; }) == 0);
  CHECK(StatusOf([] { return open("/tmp/made-by-a-confined-process", O_CREAT, 0600) < 0; }) == 0);
  CHECK(StatusOf([] { return socket(AF_UNIX, SOCK_STREAM, 0) < 0; }) == 0);
  CHECK(StatusOf([] { return fork() < 0; }) == 0);
  CHECK(StatusOf([parent] { return kill(parent, 0) < 0; }) == 0);
  CHECK(StatusOf([] { return execl("/bin/true", "true", nullptr) < 0; }) == 0);
  CHECK(StatusOf([] { return unlink("/nowhere") < 0 && errno == EPERM; }) == 0);
  CHECK(StatusOf([] {
          return mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                 MAP_FAILED;
        }) == 0);
}

TEST_CASE("a confined process is not root's" * doctest::skip(geteuid() != 0)) {
  CHECK(StatusOf([] { return geteuid() != 0 && getegid() != 0; }) == 0);
}

}  // namespace
}  // namespace velafs::os
