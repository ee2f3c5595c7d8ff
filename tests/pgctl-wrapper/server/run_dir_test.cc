#include "pgctl-wrapper/server/run_dir.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "velafs/base/server_place.h"

using namespace velafs::pgctl;

TEST_CASE("a branch's place is in its store") {
  const RunDir run_dir = RunDirInStore("/srv/store", 7);
  CHECK(run_dir.path == "/srv/store/run/7");
  CHECK(run_dir.socket_dir == "/srv/store/run/7");
  CHECK(run_dir.Log() == "/srv/store/run/7/postgres.log");
}

TEST_CASE("sockets move out of the store when their path would be too long, the rest stays") {
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

TEST_CASE("who holds the right to start a server is named when the time is up") {
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("locked-" + std::to_string(getpid()));
  REQUIRE(std::filesystem::create_directory(dir));
  const RunDir run_dir{dir, dir};
  {
    const auto lock = LockRunDir(run_dir, [] { return false; });
    REQUIRE(lock.ok());
    int asked = 0;
    const auto second = LockRunDir(run_dir, [&asked] { return ++asked == 3; });
    REQUIRE_FALSE(second.ok());
    CHECK(second.status().code() == velafs::Code::kLocked);
    CHECK(second.status().message().find("process " + std::to_string(getpid()) + " of user") == 0);
  }
  CHECK(LockRunDir(run_dir, [] { return true; }).ok());
  std::filesystem::remove_all(dir);
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

TEST_CASE("a branch's place is removed however deep its user has nested it") {
  const std::filesystem::path store =
      std::filesystem::temp_directory_path() / ("deep-" + std::to_string(getpid()));
  std::filesystem::create_directories(store / "run/7");
  for (int i = 0; i < 2000; ++i) {  // no path is long: each moves into the next
    std::filesystem::create_directory(store / "run/7/b");
    if (i > 0) std::filesystem::rename(store / "run/7/a", store / "run/7/b/a");
    std::filesystem::rename(store / "run/7/b", store / "run/7/a");
  }
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{std::min<rlim_t>(before.rlim_cur, 100), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
  const velafs::Status removed = RemoveRunDir(store, 7);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_MESSAGE(removed.ok(), removed.message());
  CHECK_FALSE(std::filesystem::exists(store / "run/7"));
  REQUIRE(std::filesystem::remove_all(store) > 0);
}

TEST_CASE("of a place in a store of root's, its user removes the content and leaves the rest") {
  if (geteuid() != 0) return;  // the store is to be another's
  const std::filesystem::path store =
      std::filesystem::temp_directory_path() / ("members-" + std::to_string(getpid()));
  const std::filesystem::path place = store / "run/7";
  std::filesystem::create_directories(place);
  std::ofstream(place / "postgres.log") << "text";
  REQUIRE(chown(place.c_str(), 65534, 65534) == 0);
  REQUIRE(chown((place / "postgres.log").c_str(), 65534, 65534) == 0);
  {
    const ActingAs acting(Owner{65534, 65534, "65534", "/"});
    const velafs::Status removed = RemoveRunDir(store, 7);
    CHECK_MESSAGE(removed.ok(), removed.message());
  }
  CHECK(std::filesystem::is_empty(place));
  REQUIRE(std::filesystem::remove_all(store) > 0);
}

TEST_CASE("root's servers have their sockets where nobody else could have made a directory") {
  if (geteuid() != 0) return;  // others have /tmp
  const bool was_there = std::filesystem::exists(velafs::kRootsPlaces);
  const std::filesystem::path top =
      std::filesystem::temp_directory_path() / ("long-" + std::to_string(getpid()));
  const std::filesystem::path store = top / std::string(100, 'x');
  std::filesystem::create_directories(store / "run");
  const std::string in_tmp = velafs::PlaceInTmp(store, 7);
  REQUIRE(mkdir(in_tmp.c_str(), 0700) == 0);  // a stranger's
  REQUIRE(chown(in_tmp.c_str(), 65533, 65533) == 0);
  const auto run_dir = PrepareRunDir(store, 7, {65534, 65534, "65534", "/"});
  REQUIRE_MESSAGE(run_dir.ok(), run_dir.status().message());
  CHECK(run_dir->path == (store / "run/7").string());
  CHECK(run_dir->socket_dir == velafs::PlaceOfRoots(store, 7));
  CHECK(FindRunDir(store, 7).socket_dir == run_dir->socket_dir);
  const auto owner = OwnerOfDirectory(run_dir->socket_dir);
  REQUIRE(owner);
  CHECK(owner->uid == 65534);
  std::ofstream(run_dir->socket_dir + "/.s.PGSQL.1.lock") << "1";
  CHECK(RemoveRunDir(store, 7).ok());
  CHECK_FALSE(std::filesystem::exists(run_dir->socket_dir));
  CHECK_FALSE(std::filesystem::exists(in_tmp));
  std::filesystem::remove_all(top);
  if (!was_there) std::filesystem::remove(velafs::kRootsPlaces);
}

TEST_CASE("a user namespace has the ids that its map names") {
  CHECK(IsMapped("         0          0 4294967295\n", 64999));
  CHECK(!IsMapped("         0       1000          1\n", 65534));
  CHECK(IsMapped("         0       1000          1\n         1     100000      65536\n", 65534));
  CHECK(!IsMapped("         0       1000          1\n         1     100000      65536\n", 65537));
  CHECK(!IsMapped("", 0));
}
