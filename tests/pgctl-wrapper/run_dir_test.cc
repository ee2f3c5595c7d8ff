#include "pgctl-wrapper/run_dir.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

using namespace velafs::pgctl;

TEST_CASE("a branch's place is in its store") {
  const RunDir run_dir = RunDirInStore("/srv/store", 7);
  CHECK(run_dir.path == "/srv/store/run/7");
  CHECK(run_dir.socket_dir == "/srv/store/run/7");
  CHECK(run_dir.Log() == "/srv/store/run/7/postgres.log");
}

TEST_CASE("sockets move to /tmp when their path would be too long, the rest stays") {
  const std::string store = "/srv/" + std::string(100, 'x');
  const RunDir run_dir = RunDirInStore(store, 7);
  CHECK(run_dir.path == store + "/run/7");
  CHECK(run_dir.socket_dir.starts_with("/tmp/velafs-"));
  CHECK(run_dir.socket_dir.ends_with("-7"));
  CHECK(run_dir.socket_dir != RunDirInStore(store + "y", 7).socket_dir);
}

TEST_CASE("a socket path of 107 bytes fits, one more does not") {
  const std::string socket_name = "/.s.PGSQL.65535";
  CHECK(IsUsableSocketDir(std::string(107 - socket_name.size(), 'd')));
  CHECK_FALSE(IsUsableSocketDir(std::string(108 - socket_name.size(), 'd')));
}

TEST_CASE("a directory that libpq would take for two hosts is no socket directory") {
  CHECK_FALSE(IsUsableSocketDir("/srv/a,b"));
}

TEST_CASE("a directory that a killed start has not yet given to the owner is given") {
  if (geteuid() != 0) return;  // who else could give one away
  const std::filesystem::path store =
      std::filesystem::temp_directory_path() / ("run-dir-" + std::to_string(getpid()));
  std::filesystem::create_directories(store / "run/7");
  const Owner nobody{65534, 65534, "65534", "/"};
  const auto run_dir = PrepareRunDir(store, 7, nobody);
  REQUIRE(run_dir.ok());
  struct stat info {};
  REQUIRE(stat((store / "run/7").c_str(), &info) == 0);
  CHECK(info.st_uid == 65534);
  CHECK((info.st_mode & 07777) == 0700);
  CHECK(PrepareRunDir(store, 7, {65533, 65533, "65533", "/"}).status().code() ==
        velafs::Code::kRefused);
  std::filesystem::remove_all(store);
}
