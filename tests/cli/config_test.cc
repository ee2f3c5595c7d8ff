// The configuration file, as the commands take it.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/cli/run_velafs.h"
#include "tests/places.h"

namespace velafs::test {
namespace {

using nlohmann::json;

bool CanUseFuse() {
  if (access("/dev/fuse", R_OK | W_OK) == 0) return true;
  MESSAGE("SKIPPED: there is no usable /dev/fuse");
  return false;
}

struct WithConfig {
  WithConfig() {
    for (const char* name : {"VELAFS_CONFIG", "VELAFS_MOUNTPOINT"}) unsetenv(name);
    Write("store = \"" + velafs.store() + "\"\n");
  }

  void Write(const std::string& text) const {
    std::ofstream(file) << text;
    REQUIRE(chmod(file.c_str(), 0644) == 0);
  }
  // A setting of `config show`.
  json Of(const std::string& key, std::vector<std::string> before = {}) const {
    before.insert(before.end(), {"--json", "config", "show"});
    const Outcome shown = velafs.RunAs(before);
    REQUIRE_MESSAGE(shown.exit_status == 0, shown.err);
    const json document = shown.Json();
    for (const json& one : document["settings"]) {
      if (one["key"] == key) return one;
    }
    FAIL("no setting " << key);
    return {};
  }

  Velafs velafs;
  std::string file = velafs.scratch / "velafs.conf";
};

TEST_CASE_FIXTURE(WithConfig, "a configuration file names the store") {
  const Outcome made = velafs.RunAs({"--config", file, "--json", "init"});
  CHECK_MESSAGE(made.exit_status == 0, made.err);
  CHECK(made.Json()["store"] == velafs.store());
  setenv("VELAFS_CONFIG", file.c_str(), 1);
  CHECK(velafs.RunAs({"list"}).exit_status == 0);
  setenv("VELAFS_STORE", (velafs.scratch / "other").c_str(), 1);
  CHECK(velafs.RunAs({"list"}).exit_status == 3);
  unsetenv("VELAFS_STORE");
  unsetenv("VELAFS_CONFIG");
}

TEST_CASE_FIXTURE(WithConfig, "config show tells where each value comes from") {
  Write("store = \"" + velafs.store() +
        "\"\nmountpoint = \"/srv/m\"\n[mount]\nautostart = false\n");
  const std::vector<std::string> with = {"--config", file};
  CHECK(Of("store", with) ==
        json{{"key", "store"}, {"value", velafs.store()}, {"from", file + ":1"}});
  CHECK(Of("mountpoint", with)["from"] == file + ":2");
  CHECK(Of("mount.autostart", with)["value"] == "false");
  CHECK(Of("mount.idle_polling", with)["from"] == "default");
  CHECK(Of("users.user_group", with)["value"].is_null());
  CHECK(Of("mount.log_level", {"--config", file, "-v"})["from"] == "command line");
  setenv("VELAFS_MOUNTPOINT", "/mnt/here", 1);
  CHECK(Of("mountpoint", with) ==
        json{{"key", "mountpoint"}, {"value", "/mnt/here"}, {"from", "environment"}});
  unsetenv("VELAFS_MOUNTPOINT");
  CHECK(velafs.RunAs({"--config", file, "config", "show"}).out.find(file + ":2") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(WithConfig, "what a file says of its store does not hold for another") {
  Write("store = \"" + velafs.store() + "\"\nmountpoint = \"/srv/m\"\n");
  const std::string other = velafs.scratch / "other";
  const json mountpoint = Of("mountpoint", {"--config", file, "--store", other});
  CHECK(mountpoint["value"] == other + "/mnt");
  CHECK(mountpoint["from"] == "default");
  CHECK(Of("store", {"--config", file, "--store", other})["from"] == "command line");
}

TEST_CASE_FIXTURE(WithConfig, "a wrong configuration file is told with its line, exit status 2") {
  Write("store = \"" + velafs.store() + "\"\nmountpont = \"/srv/m\"\n");
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"list"}, {"config", "show"}, {"mount"}}) {
    std::vector<std::string> all = {"--config", file};
    all.insert(all.end(), words.begin(), words.end());
    const Outcome refused = velafs.RunAs(all);
    CHECK(refused.exit_status == 2);
    CHECK(refused.err == "velafs: error: " + file + ":2: unknown key \"mountpont\"\n" +
                             "velafs: hint: did you mean \"mountpoint\"?\n");
  }
  CHECK(velafs.RunAs({"config", "check", file}).exit_status == 2);
  // What needs no store works on.
  CHECK(velafs.RunAs({"--config", file, "completion", "bash"}).exit_status == 0);
  CHECK(velafs.RunAs({"--config", file, "list", "--help"}).exit_status == 0);
}

TEST_CASE_FIXTURE(WithConfig, "config check says what a file sets") {
  const json good = velafs.Done({"config", "check", file});
  CHECK(good == json{{"file", file}, {"set", {{"store", velafs.store()}}}});
  CHECK(velafs({"config", "check", velafs.scratch / "none"}).exit_status == 3);
  CHECK(velafs.Done({"config", "check",
                     std::string(kSourceDirectory) + "/packaging/conf/velafs.conf"})["set"] ==
        json{{"store", "/var/lib/velafs"}, {"mountpoint", "/srv/velafs"}});
}

// Without a mount: the mountpoint is refused before anything is done.
TEST_CASE_FIXTURE(WithConfig, "a mountpoint of the file is made only where nobody else could") {
  if (!CanUseFuse()) return;
  velafs.Done({"init"});
  const std::string open = velafs.scratch / "open";
  REQUIRE(mkdir(open.c_str(), 0700) == 0);
  REQUIRE(chmod(open.c_str(), 0777) == 0);
  Write("store = \"" + velafs.store() + "\"\nmountpoint = \"" + open + "/m\"\n");
  const Outcome refused = velafs.RunAs({"--config", file, "mount"});
  CHECK(refused.exit_status == 3);
  CHECK(refused.err.find("no such directory") != std::string::npos);
  REQUIRE(chmod(open.c_str(), 0755) == 0);
  const Outcome mounted = velafs.RunAs({"--config", file, "--json", "mount"});
  CHECK_MESSAGE(mounted.exit_status == 0, mounted.err);
  CHECK(mounted.Json()["mountpoint"] == open + "/m");
  CHECK(velafs({"umount"}).exit_status == 0);
}

TEST_CASE_FIXTURE(WithConfig, "mount sets the policies and groups of the configuration") {
  if (!CanUseFuse()) return;
  velafs.Done({"init"});
  const std::string policies = velafs.scratch / "policies.toml";
  std::ofstream(policies) << "[store]\nttl = \"3d\"\n";
  REQUIRE(chmod(policies.c_str(), 0644) == 0);
  Write("store = \"" + velafs.store() + "\"\npolicy_file = \"" + policies +
        "\"\n[users]\nuser_group = \"users\"\n");
  const auto value_of = [this](const std::string& key) {
    const json shown = velafs.Done({"policy", "show"});
    for (const json& one : shown["policies"]) {
      if (one["key"] == key) return one["value"];
    }
    return json();
  };
  const auto mount_and_umount = [this] {
    const Outcome mounted = velafs.RunAs({"--config", file, "mount"});
    CHECK_MESSAGE(mounted.exit_status == 0, mounted.err);
    CHECK(velafs({"umount"}).exit_status == 0);
  };
  mount_and_umount();
  CHECK(value_of("ttl") == "3d");
  CHECK(value_of("user_group") == "users");
  const auto entries = [this] { return velafs.Done({"audit"})["entries"].size(); };
  const size_t before = entries();
  mount_and_umount();
  CHECK(entries() == before + 1);  // the umount's: nothing is set again
  // A file of policies that cannot be read keeps the store from being mounted.
  std::ofstream(policies) << "[store]\nttl = [\n";
  CHECK(velafs.RunAs({"--config", file, "mount"}).exit_status == 2);
}

}  // namespace
}  // namespace velafs::test
