#include "pgctl-wrapper/server/idle_stop.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

using namespace velafs::pgctl;

TEST_CASE("the file beside a server says after what time it stops, and whether it has") {
  const auto watched = ParseIdleStop("900\n");
  REQUIRE(watched);
  CHECK(watched->after == std::chrono::minutes(15));
  CHECK_FALSE(watched->has_stopped);
  const auto stopped = ParseIdleStop("900 stopped\n");
  REQUIRE(stopped);
  CHECK(stopped->after == std::chrono::minutes(15));
  CHECK(stopped->has_stopped);
}

TEST_CASE("a file that was cut off or is something else says nothing") {
  for (const char* text : {"", "\n", "soon\n", "0\n", "-5\n"}) {
    CHECK_MESSAGE(ParseIdleStop(text) == std::nullopt, text);
  }
}

TEST_CASE("a FIFO in the place of that file is not waited for") {
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("idle-stop-" + std::to_string(getpid()));
  REQUIRE(std::filesystem::create_directory(dir));
  REQUIRE(mkfifo((dir / "idle-stop").c_str(), 0600) == 0);
  CHECK(ReadIdleStop({dir, dir}) == std::nullopt);
  std::filesystem::remove_all(dir);
}
