#include "pgctl-wrapper/process/process.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

using namespace velafs;
using namespace velafs::pgctl;

namespace {

Command Shell(const std::string& script) {
  Command command;
  command.argv = {"sh", "-c", script};
  return command;
}

}  // namespace

TEST_CASE("what a program prints is kept, and its exit status") {
  const auto captured = Capture(Shell("echo out; echo err >&2; exit 3"));
  REQUIRE(captured.ok());
  CHECK(captured->out == "out\n");
  CHECK(captured->err == "err\n");
  CHECK(captured->exit_status == 3);
}

TEST_CASE("a program may append to its standard output, as pg_dump does") {
  const auto captured = Capture(Shell("echo one; echo two >>/proc/self/fd/1; echo three"));
  REQUIRE(captured.ok());
  CHECK(captured->out == "one\ntwo\nthree\n");
}

TEST_CASE("a program that prints more than a pipe holds is read to its end") {
  const auto captured = Capture(Shell("head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2"));
  REQUIRE(captured.ok());
  CHECK(captured->out.size() == 300000);
  CHECK(captured->err.size() == 200000);
}

TEST_CASE("what a program leaves running with its output is not waited for") {
  CaptureLimits limits;
  limits.time = std::chrono::seconds(20);
  const auto captured = Capture(Shell("sleep 60 & echo $!"), limits);
  REQUIRE(captured.ok());
  kill(std::stoi(captured->out), SIGKILL);
}

TEST_CASE("a program that prints without end fills no memory") {
  CaptureLimits limits;
  limits.output_bytes = 64 * 1024;
  const auto captured = Capture(Shell("yes"), limits);
  REQUIRE_FALSE(captured.ok());
  CHECK(captured.status().code() == Code::kRefused);
  CHECK(captured.status().message() == "\"sh\" prints more than 64.0 KiB");
}

TEST_CASE("a program that does not end is ended, whatever signals it takes no notice of") {
  CaptureLimits limits;
  limits.time = std::chrono::milliseconds(100);
  const auto captured = Capture(Shell("trap '' TERM INT; exec sleep 600"), limits);
  REQUIRE_FALSE(captured.ok());
  CHECK(captured.status().message() == "\"sh\" did not end within 1s");
}

TEST_CASE("a captured program that nobody waits for is ended") {
  pid_t pid = 0;
  {
    auto process = CapturedProcess::Start(Shell("exec sleep 600"));
    REQUIRE(process.ok());
    pid = process->pid();
    REQUIRE(kill(pid, 0) == 0);
  }
  CHECK(kill(pid, 0) != 0);
  CHECK(errno == ESRCH);
}

TEST_CASE("a child that takes no notice of a signal is ended by force") {
  const auto pid = Spawn(Shell("trap '' TERM; while :; do sleep 1; done"));
  REQUIRE(pid.ok());
  CHECK(EndChild(*pid, SIGTERM, std::chrono::milliseconds(300)) >= 128);
}

TEST_CASE("the exit status of a child is there once it has ended, and not before") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  Command command = Shell("read line; exit 7");
  command.stdin_fd = ends[0];
  const auto pid = Spawn(command);
  REQUIRE(pid.ok());
  CHECK_FALSE(ExitStatusIfEnded(*pid).has_value());
  REQUIRE(write(ends[1], "\n", 1) == 1);
  const auto pidfd = OpenPidFd(*pid);
  REQUIRE(pidfd.ok());
  REQUIRE(WaitForEnd(*pidfd, std::chrono::seconds(10)));
  CHECK(ExitStatusIfEnded(*pid) == 7);
  close(ends[0]);
  close(ends[1]);
}
