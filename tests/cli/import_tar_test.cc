// `velafs import --from-tar`, without a mount.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "tests/cli/run_velafs.h"
#include "tests/store/store_fixture.h"
#include "tests/store/tree.h"

namespace velafs::test {
namespace {

using nlohmann::json;

struct WithArchive {
  WithArchive() {
    WriteHostFile(data + "/PG_VERSION", "15\n");
    WriteHostFile(data + "/global/pg_control", Noise(8192, 1));
    WriteHostFile(data + "/base/5/1259", Noise(300'000, 2));
    fs::create_directories(data + "/pg_tblspc");
    fs::create_symlink("1259", data + "/base/5/link");
    fs::create_hard_link(data + "/base/5/1259", data + "/base/5/other");
    fs::resize_file(data + "/base/5/1259", 5'000'000);
    REQUIRE(mkdir((velafs.scratch / "tmp").c_str(), 0700) == 0);
    setenv("TMPDIR", (velafs.scratch / "tmp").c_str(), 1);
    velafs.Done({"init"});
  }
  ~WithArchive() { unsetenv("TMPDIR"); }

  // Made by tar with these arguments.
  void Pack(const std::string& arguments) {
    const std::string command =
        "cd " + data + " && tar -c --format=posix --sparse -f " + tar + " " + arguments;
    REQUIRE(std::system(command.c_str()) == 0);
  }
  // Refused in these words, and nothing is left.
  void CheckRefused(const std::string& why, int status) {
    const Outcome outcome = velafs({"import", "main", "--from-tar", tar});
    CHECK(outcome.exit_status == status);
    CHECK(outcome.err.starts_with("velafs: error: cannot import \"main\" from \"" + tar + "\": "));
    CHECK_MESSAGE(outcome.err.find(why) != std::string::npos, outcome.err);
    CHECK(velafs.Done({"list"})["branches"].empty());
    CheckNothingLeft();
  }
  void CheckNothingLeft() { CHECK(fs::is_empty(velafs.scratch / "tmp")); }

  Velafs velafs;
  const std::string data = velafs.scratch / "data";
  const std::string tar = velafs.scratch / "archive.tar";
};

TEST_CASE_FIXTURE(WithArchive, "an archive is imported as its directory is, however it was made") {
  const json from_dir = velafs.Done({"import", "dir", "--from-dir", data});
  std::string arguments;
  SUBCASE("of what is in the directory") { arguments = "."; }
  SUBCASE("of the directory") { arguments = "-C .. data"; }
  SUBCASE("compressed") { arguments = "--gzip ."; }
  Pack(arguments);
  const json from_tar = velafs.Done({"import", "tar", "--from-tar", tar});
  CHECK(from_tar["files"] == from_dir["files"]);
  CHECK(from_tar["logical_bytes"] == from_dir["logical_bytes"]);
  CHECK(from_tar["chunks_new"] == 0);
  velafs.Done({"export", "dir", "--to-dir", velafs.scratch / "out-dir"});
  velafs.Done({"export", "tar", "--to-dir", velafs.scratch / "out-tar"});
  CHECK(TreeOfDirectory(velafs.scratch / "out-dir") == TreeOfDirectory(velafs.scratch / "out-tar"));
  CheckNothingLeft();
}

TEST_CASE_FIXTURE(WithArchive, "what is exported is imported again, and stored once") {
  velafs.Done({"import", "main", "--from-dir", data});
  velafs.Done({"export", "main", "--to-tar", tar});
  CHECK(velafs.Done({"import", "again", "--from-tar", tar})["chunks_new"] == 0);
  CHECK(velafs.Done({"diff", "main", "again"})["files"].empty());
}

TEST_CASE_FIXTURE(WithArchive, "what leads out of an archive is refused") {
  const std::string target = velafs.scratch / "secret";
  WriteHostFile(target, "secret");
  SUBCASE("a link to a path of the machine") {
    fs::create_symlink(target, data + "/base/5/evil");
    Pack(".");
    CheckRefused("out of the archive", 4);
  }
  SUBCASE("a link with too many steps up") {
    fs::create_symlink("../../../secret", data + "/base/5/evil");
    Pack(".");
    CheckRefused("out of the archive", 4);
  }
  SUBCASE("a link that goes up by way of another") {
    fs::create_symlink(".", data + "/s");
    fs::create_symlink("s/../../secret", data + "/base/5/evil");
    Pack(".");
    CheckRefused("out of the archive", 4);
  }
  SUBCASE("a name that goes up") {
    Pack("--absolute-names --transform 's,PG_VERSION,../../PG_VERSION,' .");
    CheckRefused("", 1);
  }
  SUBCASE("a name from the root") {
    Pack("--absolute-names . " + target);
    CheckRefused("", 1);
  }
  SUBCASE("a file behind a link") {
    fs::create_symlink("5", data + "/base/x");
    WriteHostFile(data + "/y/file", "through");
    Pack("--transform 's,^./y,./base/x,' .");
    CheckRefused("", 1);
  }
  CHECK(ReadHostFile(target) == "secret");
}

TEST_CASE_FIXTURE(WithArchive, "what is no file, directory or link is refused") {
  REQUIRE(mkfifo((data + "/base/fifo").c_str(), 0600) == 0);
  Pack(".");
  CheckRefused("neither a file, a directory nor a link", 4);
}

TEST_CASE_FIXTURE(WithArchive, "what is no whole archive of a PGDATA is refused") {
  SUBCASE("no archive") {
    WriteHostFile(tar, Noise(100'000, 3));
    CheckRefused("", 1);
  }
  SUBCASE("cut short") {
    Pack(".");
    fs::resize_file(tar, 100'000);
    CheckRefused("", 1);
  }
  SUBCASE("not there") { CheckRefused("No such file", 1); }
  SUBCASE("of something else") {
    Pack("base");
    const Outcome outcome = velafs({"import", "main", "--from-tar", tar});
    CHECK(outcome.exit_status == 4);
    CHECK(outcome.err.find("PG_VERSION") != std::string::npos);
    CheckNothingLeft();
  }
  CHECK(velafs({"import", "main"}).exit_status == 2);
  CHECK(velafs({"import", "main", "--from-tar", tar, "--from-dir", data}).exit_status == 2);
}

}  // namespace
}  // namespace velafs::test
