#include "velafs/api/configuration.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/os/scratch_directory.h"
#include "velafs/client.h"

namespace velafs::api {
namespace {

using test::ScratchDirectory;

std::string ErrorOf(const std::string& text) {
  const auto parsed = Configuration::Parse(text, "/etc/v.conf");
  CHECK(parsed.status().code() == Code::kUsage);
  return parsed.status().message();
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

TEST_CASE("each key of a configuration file is read, with its line") {
  const auto file = Configuration::Parse(
      "store = '/s'\nmountpoint = \"/m\"\npolicy_file = '/p'\n[mount]\nautostart = false\n"
      "idle_polling = true\nlog_level = 'debug'\nstop_timeout = '2m'\nwrite_through = "
      "true\n[users]\n"
      "user_group = 'dev'\nadmin_group = 'dba'\n",
      "/etc/v.conf");
  REQUIRE_MESSAGE(file.ok(), file.status().message());
  for (const ConfigurationKey& key : ConfigurationKeys()) CHECK(file->Find(key.name));
  CHECK(file->Get("store") == "/s");
  CHECK(file->Get("mount.autostart") == "false");
  CHECK(file->Get("mount.stop_timeout") == "2m");
  CHECK(file->PlaceOf("store") == "/etc/v.conf:1");
  CHECK(file->PlaceOf("users.admin_group") == "/etc/v.conf:12");
}

TEST_CASE("what a configuration file does not say is the default") {
  const auto file = Configuration::Parse("# nothing\n", "/etc/v.conf");
  REQUIRE(file.ok());
  CHECK_FALSE(file->Find("mount.autostart"));
  CHECK(file->Get("mount.autostart") == "true");
  CHECK(file->Get("mount.stop_timeout") == "60s");
  CHECK(file->Get("users.user_group").empty());
}

TEST_CASE("a configuration file that is wrong is refused, naming the line") {
  CHECK(ErrorOf("store = '/s'\n\nstor = '/t'\n") == "/etc/v.conf:3: unknown key \"stor\"");
  CHECK(ErrorOf("[mount]\nfast = true\n") == "/etc/v.conf:2: unknown key \"mount.fast\"");
  CHECK(ErrorOf("[mounts]\nautostart = true\n") == "/etc/v.conf:1: unknown key \"mounts\"");
  CHECK(ErrorOf("mount = true\n") == "/etc/v.conf:1: unknown key \"mount\"");
  CHECK(ErrorOf("[store]\na = 1\n") == "/etc/v.conf:1: \"store\" must be a text in quotes");
  CHECK(ErrorOf("store = 1\n") == "/etc/v.conf:1: \"store\" must be a text in quotes");
  CHECK(ErrorOf("store = 'a'\n") ==
        "/etc/v.conf:1: \"a\", the value of \"store\", is not an absolute path");
  CHECK(ErrorOf("store = ''\n").find("is empty") != std::string::npos);
  CHECK(ErrorOf("[mount]\nautostart = 'yes'\n") ==
        "/etc/v.conf:2: \"mount.autostart\" must be true or false");
  CHECK(ErrorOf("[mount]\nstop_timeout = 'soon'\n").starts_with("/etc/v.conf:2: \"soon\""));
  CHECK(ErrorOf("[mount]\nlog_level = 'loud'\n").starts_with("/etc/v.conf:2: \"loud\""));
  CHECK(ErrorOf("store = '/s'\nx\n").starts_with("/etc/v.conf:2: "));
}

TEST_CASE("a mountpoint that no store of the configuration file can have is refused") {
  CHECK(ErrorOf("store = '/s'\nmountpoint = '/s/packs'\n") ==
        "/etc/v.conf:2: mountpoint \"/s/packs\" is inside the store");
  CHECK(ErrorOf("mountpoint = '/a/../s'\nstore = '/s'\n") ==
        "/etc/v.conf:1: mountpoint \"/a/../s\" would hide the store");
  CHECK(ErrorOf("store = '/data/s'\nmountpoint = '/data'\n") ==
        "/etc/v.conf:2: mountpoint \"/data\" would hide the store");
  CHECK(Configuration::Parse("store = '/s'\nmountpoint = '/s/mnt'\n", "/etc/v.conf").ok());
  CHECK(Configuration::Parse("store = '/s'\nmountpoint = '/s2'\n", "/etc/v.conf").ok());
}

TEST_CASE("a directory is no configuration file") {
  const ScratchDirectory scratch;
  const auto file = Configuration::Read(scratch.path());
  const std::string why = geteuid() == 0 ? "it is not a regular file" : "Is a directory";
  CHECK(file.status().message() ==
        "cannot read the configuration file \"" + scratch.path() + "\": " + why);
}

TEST_CASE("a mistyped key of a configuration file is told the right one") {
  const auto parsed = Configuration::Parse("mountpont = '/m'\n", "f");
  CHECK(parsed.status().hint() == "did you mean \"mountpoint\"?");
}

TEST_CASE("the configuration file of the environment must be there, and names the store") {
  const ScratchDirectory scratch;
  const std::string path = scratch / "velafs.conf";
  unsetenv("VELAFS_STORE");
  setenv("VELAFS_CONFIG", path.c_str(), 1);
  CHECK(UseConfiguredStore("").code() == Code::kNotFound);
  CHECK(UseConfiguredStore("/given").ok());
  Write(path, "store = '/srv/of-file'\n");
  CHECK(UseConfiguredStore("/given").ok());
  CHECK(std::getenv("VELAFS_STORE") == nullptr);
  CHECK(UseConfiguredStore("").ok());
  CHECK(StoreDirectory("") == "/srv/of-file");
  setenv("VELAFS_STORE", "/srv/of-environment", 1);
  CHECK(UseConfiguredStore("").ok());
  CHECK(StoreDirectory("") == "/srv/of-environment");
  unsetenv("VELAFS_STORE");
  unsetenv("VELAFS_CONFIG");
}

TEST_CASE("a configuration file is about the store it names alone") {
  const ScratchDirectory scratch;
  const std::string path = scratch / "velafs.conf";
  setenv("VELAFS_CONFIG", path.c_str(), 1);
  Write(path, "store = '" + scratch.path() + "/./store/'\n");
  CHECK(Configuration::Load()->IsAbout(scratch / "store"));
  CHECK_FALSE(Configuration::Load()->IsAbout(scratch / "other"));
  Write(path, "mountpoint = '/m'\n");
  CHECK(Configuration::Load()->IsAbout(scratch / "other"));
  unsetenv("VELAFS_CONFIG");
  CHECK_FALSE(Configuration().IsAbout(scratch / "other"));
}

TEST_CASE("root takes no configuration from a file that others can write or replace") {
  if (geteuid() != 0) return;  // nobody else is that careful
  const ScratchDirectory scratch;
  const std::string directory = scratch / "etc";
  const std::string path = directory + "/velafs.conf";
  std::filesystem::create_directory(directory);
  Write(path, "store = '/s'\n");
  REQUIRE(chmod(path.c_str(), 0644) == 0);
  REQUIRE(chmod(directory.c_str(), 0755) == 0);
  CHECK(Configuration::Read(path).ok());
  const auto refused = [&path] {
    return Configuration::Read(path).status().code() == Code::kRefused;
  };
  REQUIRE(chmod(path.c_str(), 0664) == 0);
  CHECK(refused());
  REQUIRE(chmod(path.c_str(), 0644) == 0);
  REQUIRE(chown(path.c_str(), 1000, 0) == 0);
  CHECK(refused());
  REQUIRE(chown(path.c_str(), 0, 0) == 0);
  REQUIRE(chmod(directory.c_str(), 0777) == 0);
  CHECK(refused());
  REQUIRE(chmod(directory.c_str(), 01777) == 0);
  CHECK(Configuration::Read(path).ok());
  REQUIRE(chown(directory.c_str(), 1000, 0) == 0);
  CHECK(refused());
  // Also by way of a link that is root's.
  std::filesystem::create_symlink(path, scratch / "link");
  CHECK(Configuration::Read(scratch / "link").status().code() == Code::kRefused);
}

TEST_CASE("root reads no configuration through another's link, and waits for no FIFO") {
  if (geteuid() != 0) return;  // nobody else is that careful
  const ScratchDirectory scratch;
  const std::string path = scratch / "velafs.conf";
  const std::string link = scratch / "link";
  Write(path, "store = '/s'\n");
  REQUIRE(chmod(path.c_str(), 0644) == 0);
  std::filesystem::create_symlink(path, link);
  CHECK(Configuration::Read(link).ok());
  REQUIRE(lchown(link.c_str(), 1000, 0) == 0);
  CHECK(Configuration::Read(link).status().code() == Code::kRefused);
  const std::string fifo = scratch / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(Configuration::Read(fifo).status().code() == Code::kRefused);
}

TEST_CASE("a configuration file of any length is not read") {
  const ScratchDirectory scratch;
  const std::string path = scratch / "velafs.conf";
  Write(path, "");
  std::filesystem::resize_file(path, uint64_t{1} << 40);
  CHECK(Configuration::Read(path).status().code() == Code::kRefused);
}

}  // namespace
}  // namespace velafs::api
