#include "pgctl-wrapper/server/launched_server.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "pgctl-wrapper/process/process.h"
#include "tests/os/scratch_directory.h"

namespace velafs::pgctl {
namespace {

struct LaunchedFixture : test::ScratchDirectory {
  LaunchedFixture() {
    Command command;
    command.argv = {"sleep", "1000"};
    const auto spawned = Spawn(command);
    REQUIRE(spawned.ok());
    launched.pid = *spawned;
  }
  ~LaunchedFixture() {
    if (IsRunning()) EndLaunched(launched, SIGKILL, std::chrono::seconds(10));
  }
  // Neither ended nor waited for.
  bool IsRunning() const { return waitpid(launched.pid, nullptr, WNOHANG) == 0; }

  Launched launched;
};

TEST_CASE_FIXTURE(LaunchedFixture,
                  "a server whose postmaster.pid cannot be read is not left running") {
  const std::string no_directory = path() + "/file";
  std::ofstream(no_directory) << "text";
  const Status waited = WaitUntilReady(launched, {.branch = "main",
                                                  .data_dir = no_directory,
                                                  .name_for_hints = "main",
                                                  .timeout = std::chrono::seconds(60)});
  CHECK(waited.error_number() == ENOTDIR);
  CHECK_FALSE(IsRunning());
}

TEST_CASE_FIXTURE(LaunchedFixture, "a server whose start is interrupted is not left running") {
  const Status waited = WaitUntilReady(launched, {.branch = "main",
                                                  .data_dir = path(),
                                                  .name_for_hints = "main",
                                                  .timeout = std::chrono::seconds(60),
                                                  .is_cancelled = [] { return true; }});
  CHECK(waited.message().find("was interrupted") != std::string::npos);
  CHECK_FALSE(IsRunning());
}

TEST_CASE_FIXTURE(LaunchedFixture, "a server that takes its time goes on starting") {
  const Status waited = WaitUntilReady(launched, {.branch = "main",
                                                  .data_dir = path(),
                                                  .name_for_hints = "main",
                                                  .timeout = std::chrono::seconds(0)});
  CHECK(waited.message().find("is not ready after") != std::string::npos);
  CHECK(IsRunning());
}

}  // namespace
}  // namespace velafs::pgctl
