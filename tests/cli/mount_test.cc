// The daemon: `velafs mount`, `umount`, signals, and commands while it runs.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/api/data_directory.h"
#include "tests/cli/run_velafs.h"

namespace velafs::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

bool CanMount() {
  if (access("/dev/fuse", R_OK | W_OK) == 0) return true;
  MESSAGE("SKIPPED: there is no usable /dev/fuse");
  return false;
}

// A store with branch "main", mounted by the test and unmounted at its end at the latest.
struct Daemon {
  Daemon() {
    velafs.Done({"init"});
    velafs.Done({"import", "main", "--from-dir", MakeDataDirectory(velafs.scratch / "data")});
  }
  ~Daemon() {
    // Detached, in use or not, dead or alive; a daemon that lives ends of it.
    const std::string command = "fusermount3 -u -z -- '" + mountpoint + "' 2> /dev/null";
    static_cast<void>(std::system(command.c_str()));
    velafs({"list"});  // waits for its end
  }

  json Mount(Words words = {}) {
    words.insert(words.begin(), "mount");
    const json live = velafs.Done(words);
    pid = live["pid"].get<pid_t>();
    mountpoint = live["mountpoint"].get<std::string>();
    return live;
  }
  void WaitUntilReleased() {
    while (kill(pid, 0) == 0 && !IsZombie()) std::this_thread::yield();
  }
  // An orphan stays in the process table where nobody adopts and reaps it. It may be a zombie
  // before its other threads have ended, and has the store until then.
  bool IsZombie() const {
    const std::string process = "/proc/" + std::to_string(pid);
    std::ifstream stat(process + "/stat");
    std::string line;
    std::getline(stat, line);
    std::error_code error;  // it is reaped just now
    const auto links = std::filesystem::hard_link_count(process + "/task", error);
    return line.find(") Z ") != std::string::npos && (error || links == 2 + 1);  // one a thread
  }
  bool IsMounted() const {
    struct statfs info;
    constexpr long kFuseMagic = 0x65735546;
    return statfs(mountpoint.c_str(), &info) == 0 && info.f_type == kFuseMagic;
  }

  Velafs velafs;
  std::string mountpoint;
  pid_t pid = 0;
};

TEST_CASE("mount is live when it returns, serves every command, and umount ends it") {
  if (!CanMount()) return;
  Daemon daemon;
  const json live = daemon.Mount();
  CHECK(live["store"] == daemon.velafs.store());
  CHECK(live["mountpoint"] == daemon.velafs.store() + "/mnt");
  CHECK(daemon.IsMounted());
  CHECK(std::filesystem::file_size(daemon.mountpoint + "/main/base/1/1259") == 100'000);

  const json branch = daemon.velafs.Done({"clone", "main", "pr-1"});
  CHECK(branch["path"] == daemon.mountpoint + "/pr-1");
  CHECK(std::filesystem::exists(daemon.mountpoint + "/pr-1/PG_VERSION"));
  daemon.velafs.Done({"delete", "pr-1"});
  CHECK_FALSE(std::filesystem::exists(daemon.mountpoint + "/pr-1"));
  const json imported =
      daemon.velafs.Done({"import", "second", "--from-dir", daemon.velafs.scratch / "data"});
  CHECK(imported["chunks_new"] == 0);
  CHECK(std::filesystem::exists(daemon.mountpoint + "/second/PG_VERSION"));

  const json gone = daemon.velafs.Done({"umount"});
  CHECK(gone["pid"] == live["pid"]);
  CHECK_FALSE(daemon.IsMounted());
  CHECK(daemon.velafs.Done({"show", "main"})["path"].is_null());
}

TEST_CASE("what is written is there after umount and mount") {
  if (!CanMount()) return;
  Daemon daemon;
  daemon.Mount();
  std::ofstream(daemon.mountpoint + "/main/new") << "kept";
  daemon.velafs.Done({"umount"});
  daemon.Mount();
  std::string content;
  std::ifstream(daemon.mountpoint + "/main/new") >> content;
  CHECK(content == "kept");
}

TEST_CASE("a second mount names the mountpoint and the process of the first") {
  if (!CanMount()) return;
  Daemon daemon;
  const json live = daemon.Mount();
  for (const Words& words : std::vector<Words>{{"mount"}, {"mount", "--foreground"}}) {
    const Outcome outcome = daemon.velafs(words);
    CHECK(outcome.exit_status == 5);
    CHECK(outcome.err == "velafs: error: cannot mount store \"" + daemon.velafs.store() +
                             "\": it is already mounted at \"" + daemon.mountpoint +
                             "\" by process " + live["pid"].dump() + "\n");
  }
}

// One that was taken as it is written was its own parent, and asked before it was served.
TEST_CASE("a mountpoint may be written in any way, and is called by its real name") {
  if (!CanMount()) return;
  Daemon daemon;
  const std::string real = daemon.velafs.scratch / "elsewhere";
  std::filesystem::create_directory(real);
  std::filesystem::create_directory_symlink(real, daemon.velafs.scratch / "link");
  const std::string link = daemon.velafs.scratch / "link";
  for (const std::string& written :
       {real + "/", real + "//", real + "/.", real + "/../elsewhere", link, link + "/"}) {
    CAPTURE(written);
    CHECK(daemon.Mount({written})["mountpoint"] == real);
    CHECK(daemon.velafs.Done({"show", "main"})["path"] == real + "/main");
    CHECK(std::filesystem::exists(real + "/main/PG_VERSION"));
    const Outcome elsewhere = daemon.velafs({"umount", "/proc"});
    CHECK(elsewhere.exit_status == 3);
    CHECK(elsewhere.err.find("hint: it is mounted at \"" + real + "\"") != std::string::npos);
    daemon.velafs.Done({"umount", written});
  }
}

TEST_CASE("a mountpoint that cannot be one is refused in words") {
  if (!CanMount()) return;
  Daemon daemon;
  const std::string store = daemon.velafs.store();
  const auto refusal = [&daemon](const std::string& mountpoint, int status) {
    const Outcome outcome = daemon.velafs({"mount", mountpoint});
    CHECK(outcome.exit_status == status);
    return outcome.err;
  };
  CHECK(refusal(store, 4).find("is inside the store") != std::string::npos);
  std::filesystem::create_directory(store + "/other");
  CHECK(refusal(store + "/other/", 4).find("is inside the store") != std::string::npos);
  CHECK(refusal(daemon.velafs.scratch / "data", 4).find("is not empty") != std::string::npos);
  CHECK(refusal(daemon.velafs.scratch / "data/PG_VERSION", 2).find("is not a directory") !=
        std::string::npos);

  daemon.Mount();
  std::filesystem::create_directory(daemon.mountpoint + "/main/below");
  const std::string second = daemon.velafs.scratch / "second";
  CHECK(daemon.velafs.RunAs({"--store", second, "init"}).exit_status == 0);
  const Outcome nested =
      daemon.velafs.RunAs({"--store", second, "mount", daemon.mountpoint + "/main/below"});
  CHECK(nested.exit_status == 4);
  CHECK_MESSAGE(
      nested.err.find("is inside the mount of store \"" + store + "\"") != std::string::npos,
      nested.err);
}

TEST_CASE("only the default mountpoint is made") {
  if (!CanMount()) return;
  Daemon daemon;
  const std::string elsewhere = daemon.velafs.scratch / "elsewhere";
  const Outcome missing = daemon.velafs({"mount", elsewhere, "--json"});
  CHECK(missing.exit_status == 3);
  CHECK(missing.Json()["error"]["hint"] == "mkdir -p '" + elsewhere + "'");
  std::filesystem::create_directory(elsewhere);
  CHECK(daemon.Mount({elsewhere})["mountpoint"] == elsewhere);
  CHECK(std::filesystem::exists(elsewhere + "/main/PG_VERSION"));
}

TEST_CASE("umount is refused while a file is open, and SIGTERM is not") {
  if (!CanMount()) return;
  Daemon daemon;
  daemon.Mount();
  const int fd = open((daemon.mountpoint + "/main/PG_VERSION").c_str(), O_RDONLY);
  REQUIRE(fd >= 0);
  const Outcome refused = daemon.velafs({"umount"});
  CHECK(refused.exit_status == 4);
  // Nobody else: the command has inherited the file, but it is over when this is read.
  const std::string user = "in use by process " + std::to_string(getpid()) + " (velafs_tests) in";
  CHECK_MESSAGE(refused.err.find(user + " \"main\"; ") != std::string::npos, refused.err);
  CHECK(daemon.IsMounted());
  kill(daemon.pid, SIGTERM);
  daemon.WaitUntilReleased();
  close(fd);
  CHECK_FALSE(daemon.IsMounted());
  CHECK(daemon.velafs({"list"}).exit_status == 0);
}

TEST_CASE("a mountpoint whose daemon was killed is mounted again") {
  if (!CanMount()) return;
  Daemon daemon;
  daemon.Mount();
  REQUIRE(std::filesystem::is_directory(daemon.mountpoint));  // which the kernel remembers
  kill(daemon.pid, SIGKILL);
  daemon.WaitUntilReleased();

  const Outcome outcome = daemon.velafs({"mount", "--json"});
  REQUIRE_MESSAGE(outcome.exit_status == 0, outcome.err);
  CHECK(outcome.err.find("left by a daemon that died") != std::string::npos);
  CHECK(std::filesystem::exists(daemon.mountpoint + "/main/PG_VERSION"));
}

TEST_CASE("umount detaches what a killed daemon left") {
  if (!CanMount()) return;
  Daemon daemon;
  daemon.Mount();
  REQUIRE(std::filesystem::is_directory(daemon.mountpoint));  // which the kernel remembers
  kill(daemon.pid, SIGKILL);
  daemon.WaitUntilReleased();
  CHECK(daemon.velafs.Done({"umount"})["mountpoint"] == daemon.mountpoint);
  CHECK_FALSE(daemon.IsMounted());
  CHECK(std::filesystem::is_empty(daemon.mountpoint));
}

TEST_CASE("a daemon in the foreground prints one document and ends at SIGINT with status 0") {
  if (!CanMount()) return;
  Daemon daemon;
  const Process foreground =
      daemon.velafs.Start({"--store", daemon.velafs.store(), "--json", "mount", "--foreground"});
  daemon.mountpoint = daemon.velafs.store() + "/mnt";
  while (!daemon.IsMounted()) std::this_thread::yield();
  CHECK(daemon.velafs.Done({"show", "main"})["path"] == daemon.mountpoint + "/main");
  kill(foreground.pid, SIGINT);
  const Outcome outcome = daemon.velafs.Wait(foreground);
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.Json()["pid"] == foreground.pid);
  CHECK_FALSE(daemon.IsMounted());
}

}  // namespace
}  // namespace velafs::test
