#include "pgctl-wrapper/server/postmaster.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace velafs;
using namespace velafs::pgctl;

namespace {

// A directory that is gone after the case.
class ScratchDir {
 public:
  ScratchDir() {
    std::string name = (std::filesystem::temp_directory_path() / "velapg-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScratchDir() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
  }

 private:
  std::string path_;
};

constexpr char kReadyFile[] =
    "4242\n/mnt/main\n1700000000\n54321\n/srv/run/1\nlocalhost\n  1234567   98304\nready   \n";

}  // namespace

TEST_CASE("postmaster.pid of a ready server tells all about it") {
  const auto file = ParsePostmasterFile(kReadyFile);
  REQUIRE(file);
  CHECK(file->pid == 4242);
  CHECK(file->started_at == 1700000000);
  CHECK(file->listens_on == "localhost");
  CHECK(file->status == "ready");
  CHECK(file->IsUp());
}

TEST_CASE("a time that no server can have started at is none") {
  for (const char* time : {"9223372036854775807", "9000000001", "-1", "99999999999999999999"}) {
    const auto file = ParsePostmasterFile("4242\n/mnt/main\n" + std::string(time) + "\n");
    REQUIRE(file);
    CHECK_MESSAGE(file->started_at == 0, time);
  }
}

TEST_CASE("a server that is not yet ready is not up") {
  const std::string text = kReadyFile;
  const auto starting = ParsePostmasterFile(text.substr(0, text.find("ready")) + "starting\n");
  REQUIRE(starting);
  CHECK(starting->status == "starting");
  CHECK_FALSE(starting->IsUp());
  const auto first_lines = ParsePostmasterFile("4242\n/mnt/main\n1700000000\n54321\n");
  REQUIRE(first_lines);
  CHECK(first_lines->status.empty());
  CHECK_FALSE(first_lines->IsUp());
}

TEST_CASE("a standby that takes no connections counts as up") {
  const std::string text = kReadyFile;
  CHECK(ParsePostmasterFile(text.substr(0, text.find("ready")) + "standby \n")->IsUp());
}

TEST_CASE("a postmaster.pid without a pid says nothing") {
  CHECK_FALSE(ParsePostmasterFile(""));
  CHECK_FALSE(ParsePostmasterFile("\n"));
  CHECK_FALSE(ParsePostmasterFile("what\n/mnt/main\n"));
  CHECK_FALSE(ParsePostmasterFile("-17\n/mnt/main\n"));  // a single-user server's
}

TEST_CASE("a directory without postmaster.pid has no server") {
  const ScratchDir dir;
  const auto server = FindServer(dir.path(), std::nullopt);
  REQUIRE(server.ok());
  CHECK_FALSE(*server);
}

TEST_CASE("what postmaster.pid says of a live process is not believed") {
  const ScratchDir dir;
  const auto home = std::filesystem::current_path();
  dir.Write("postmaster.pid", std::to_string(getpid()) + "\n" + dir.path() + "\n");
  std::filesystem::current_path(dir.path());
  const auto server = FindServer(dir.path(), std::nullopt);
  std::filesystem::current_path(home);
  REQUIRE(server.ok());
  CHECK_FALSE(*server);
}

TEST_CASE("the process that the store names is the server, whatever postmaster.pid calls it") {
  const ScratchDir dir;
  dir.Write("postmaster.pid", "1\n" + dir.path() + "\n1700000000\n5432\n/tmp\n");
  const auto server = FindServer(dir.path(), getpid());
  REQUIRE(server.ok());
  REQUIRE(*server);
  CHECK((*server)->file.pid == getpid());
  CHECK_FALSE((*server)->lost);
}

TEST_CASE("stop modes are pg_ctl's") {
  CHECK(ParseStopMode("smart") == StopMode::kSmart);
  CHECK(ParseStopMode("fast") == StopMode::kFast);
  CHECK(ParseStopMode("immediate") == StopMode::kImmediate);
  CHECK(ParseStopMode("gently") == std::nullopt);
}

TEST_CASE("a process in our network reaches as far as we do; of one that is gone nothing is said") {
  PostmasterFile server;
  server.pid = getpid();
  CHECK(NetworkOf(server) == Network::kHost);
  server.pid = 1 << 30;
  CHECK(NetworkOf(server) == Network::kIsolated);
}
