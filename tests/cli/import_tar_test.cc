// `velafs import --from-tar`, without a mount.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

#include "tests/cli/run_velafs.h"
#include "tests/store/store_fixture.h"
#include "tests/store/tree.h"
#include "velafs/os/unique_fd.h"

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
    CHECK_MESSAGE(
        outcome.err.starts_with("velafs: error: cannot import \"" + tar + "\" as \"main\": "),
        outcome.err);
    CHECK_MESSAGE(outcome.err.find(why) != std::string::npos, outcome.err);
    CHECK(velafs.Done({"list"})["branches"].empty());
    CheckNothingLeft();
  }
  void CheckNothingLeft() {
    CHECK(fs::is_empty(velafs.scratch / "tmp"));
    for (const auto& entry : fs::directory_iterator(velafs.store())) {
      CHECK_MESSAGE(!entry.path().filename().string().starts_with('.'), entry.path());
    }
  }

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
    CheckRefused("leads out of the archive", 4);
  }
  SUBCASE("a name from the root") {
    Pack("--absolute-names . " + target);
    CheckRefused("is a path from the root", 4);
  }
  SUBCASE("a file behind a link") {
    fs::create_symlink("5", data + "/base/x");
    WriteHostFile(data + "/y/file", "through");
    Pack("--transform 's,^./y,./base/x,' ./PG_VERSION ./global ./base ./y/file");
    CheckRefused("\"base/x\" is not a directory", 4);
  }
  SUBCASE("a hard link, less deep, to a symbolic one") {
    fs::create_symlink("../../../secret", data + "/base/5/far");
    fs::create_directories(data + "/base/5/6");
    fs::rename(data + "/base/5/far", data + "/base/5/6/far");
    Pack(".");
    // As link(2) makes it of a symbolic link, which tar writes as a hard link to it.
    REQUIRE(link((data + "/base/5/6/far").c_str(), (data + "/far").c_str()) == 0);
    Pack("./PG_VERSION ./global ./base ./far");
    CheckRefused("is a hard link to \"./base/5/6/far\", which is no file", 4);
  }
  CHECK(ReadHostFile(target) == "secret");
}

TEST_CASE_FIXTURE(WithArchive, "setuid and setgid bits of an archive's files are not imported") {
  REQUIRE(chmod((data + "/base/5/1259").c_str(), 06755) == 0);
  Pack(".");
  velafs.Done({"import", "main", "--from-tar", tar});
  velafs.Done({"export", "main", "--to-dir", velafs.scratch / "out", "--keep-special"});
  struct stat info {};
  REQUIRE(stat((velafs.scratch / "out/base/5/1259").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0755);
}

TEST_CASE_FIXTURE(WithArchive, "while an archive comes, nothing of it is anywhere by a name") {
  int number = SIGTERM;
  SUBCASE("it is ended by SIGTERM") {}
  SUBCASE("it is ended by SIGINT") { number = SIGINT; }
  Pack(". --owner=1234 --group=1234");
  const std::string fifo = velafs.scratch / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const auto names = [&] {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(velafs.scratch.path())) {
      if (entry.path().string().find("/data/") == std::string::npos)
        found.push_back(entry.path().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  const Process import =
      velafs.Start({"--store", velafs.store(), "import", "main", "--from-tar", fifo});
  const std::string content = ReadHostFile(tar);
  const os::UniqueFd out(open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(out.get() >= 0);
  // More than all pipes on the way hold: it has been read, and no more comes.
  const size_t part = content.size() - 1024;
  REQUIRE(write(out.get(), content.data(), part) == static_cast<ssize_t>(part));
  for (const std::string& name : names()) {
    CHECK_MESSAGE(name.find("PG_VERSION") == std::string::npos, name);
    CHECK_MESSAGE(name.find("1259") == std::string::npos, name);
  }
  REQUIRE(kill(import.pid, number) == 0);
  const Outcome outcome = velafs.Wait(import);
  CHECK(outcome.exit_status == 128 + number);
  CHECK_MESSAGE(outcome.err.find("interrupted") != std::string::npos, outcome.err);
  CHECK(std::ranges::count(outcome.err, '\n') == 1);
  CHECK(velafs.Done({"list"})["branches"].empty());
  CheckNothingLeft();
}

TEST_CASE_FIXTURE(WithArchive, "what is twice in an archive, or has no proper name, is refused") {
  SUBCASE("a file twice") {
    Pack("./PG_VERSION ./global ./PG_VERSION");
    CheckRefused("\"./PG_VERSION\" is in the archive twice", 4);
  }
  SUBCASE("a directory and a file") {
    WriteHostFile(data + "/x", "x");
    Pack("--transform 's,^./x$,./base,' ./PG_VERSION ./global ./base ./x");
    CheckRefused("\"./base\" is in the archive twice", 4);
  }
}

TEST_CASE_FIXTURE(WithArchive, "names that are not UTF-8 stay as they are") {
  WriteHostFile(data + "/base/\xff\xfe", "x");
  velafs.Done({"import", "main", "--from-dir", data});
  SUBCASE("in an archive of export's") { velafs.Done({"export", "main", "--to-tar", tar}); }
  SUBCASE("in one of tar's") { Pack("--format=gnu ."); }
  SUBCASE("in one of tar's with extended headers") { Pack("--format=pax ."); }
  velafs.Done({"import", "again", "--from-tar", tar});
  CHECK(velafs.Done({"diff", "main", "again"})["files"].empty());
}

TEST_CASE_FIXTURE(WithArchive,
                  "a directory may be in an archive twice, and without its own entry") {
  Pack("--no-recursion ./PG_VERSION ./global/pg_control ./base/5/1259 ./base ./base ./base/5");
  velafs.Done({"import", "main", "--from-tar", tar});
}

// As pg_basebackup --format=tar makes it: a tablespace and the WAL in archives of their own.
struct WithTarSet : WithArchive {
  WithTarSet() {
    WriteHostFile(data + "/backup_label",
                  "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n");
    WriteHostFile(data + "/tablespace_map", "16384 " + production + "\n16385 /srv/x\n");
    WriteHostFile(data + "/postgresql.auto.conf", "");
    fs::create_directories(data + "/pg_wal/archive_status");
    WriteHostFile(production + "/PG_15/5/1", "production's");
    WriteHostFile(velafs.scratch / "ts/PG_15/5/1", "the backup's");
    WriteHostFile(velafs.scratch / "wal/000000010000000000000002", "wal");
    fs::create_directories(set);
  }
  // `options` of tar, which also decide the names' ends.
  void PackSet(const std::string& options, const std::string& end) {
    PackOne("data", "base.tar" + end, options, ".");
    PackOne("ts", "16384.tar" + end, options, "PG_15");
    PackOne("ts", "16385.tar" + end, options, "PG_15");
    PackOne("wal", "pg_wal.tar" + end, options + " --owner 2048 --group 1024",
            "000000010000000000000002");
  }
  void PackOne(const std::string& directory, const std::string& name, const std::string& options,
               const std::string& what) {
    const std::string command = "tar -c " + options + " -f " + set + "/" + name + " -C " +
                                (velafs.scratch / directory) + " " + what;
    REQUIRE(std::system(command.c_str()) == 0);
  }
  void CheckImported() {
    velafs.Done({"export", "main", "--to-dir", velafs.scratch / "out"});
    for (const char* oid : {"16384", "16385"}) {
      CHECK(ReadHostFile(velafs.scratch / "out/pg_tblspc/" + oid + "/PG_15/5/1") == "the backup's");
    }
    CHECK(ReadHostFile(velafs.scratch / "out/pg_wal/000000010000000000000002") == "wal");
    struct stat info {};
    REQUIRE(stat((velafs.scratch / "out/pg_wal/000000010000000000000002").c_str(), &info) == 0);
    CHECK(info.st_uid == getuid());
    CHECK_FALSE(fs::exists(velafs.scratch / "out/tablespace_map"));
    CHECK(fs::exists(velafs.scratch / "out/backup_label"));
    CheckNothingLeft();
  }
  void CheckRefusedSet(const std::string& from, const std::string& why) {
    const Outcome outcome = velafs({"import", "main", "--from-tar", from});
    CHECK(outcome.exit_status == 4);
    CHECK_MESSAGE(outcome.err.find(why) != std::string::npos, outcome.err);
    CHECK_MESSAGE(outcome.err.find(" \"" + from + "\" ") != std::string::npos, outcome.err);
    CHECK(outcome.err.find(velafs.scratch / "tmp") == std::string::npos);
    CHECK(velafs.Done({"list"})["branches"].empty());
    CheckNothingLeft();
  }

  const std::string set = velafs.scratch / "set";
  const std::string production = velafs.scratch / "production";
};

TEST_CASE_FIXTURE(WithTarSet, "the tars of a base backup are imported together") {
  SUBCASE("by base.tar") {
    PackSet("", "");
    velafs.Done({"import", "main", "--from-tar", set + "/base.tar"});
  }
  SUBCASE("by their directory") {
    PackSet("", "");
    velafs.Done({"import", "main", "--from-tar", set});
  }
  SUBCASE("compressed") {
    PackSet("--gzip", ".gz");
    velafs.Done({"import", "main", "--from-tar", set + "/base.tar.gz"});
  }
  CheckImported();
}

TEST_CASE_FIXTURE(WithTarSet, "a tar that is missing is named") {
  PackSet("", "");
  SUBCASE("of a tablespace") {
    fs::remove(set + "/16384.tar");
    CheckRefusedSet(set, "there is no 16384 (it was \"" + production + "\")");
  }
  SUBCASE("of the WAL") {
    fs::remove(set + "/pg_wal.tar");
    CheckRefusedSet(set + "/base.tar", "recovery begins in segment \"000000010000000000000002\"");
  }
  SUBCASE("all but base.tar, from standard input") {
    const std::string err = velafs.scratch / "err";
    const std::string command = Velafs::Binary() + (" --store " + velafs.store()) +
                                " import main --from-tar - <" + set + "/base.tar 2>" + err;
    CHECK(WEXITSTATUS(std::system(command.c_str())) == 4);
    const std::string said = ReadHostFile(err);
    CHECK_MESSAGE(said.find("16384 (it was") != std::string::npos, said);
  }
  SUBCASE("base.tar") {
    fs::remove(set + "/base.tar");
    CheckRefusedSet(set, "is a directory without a base.tar");
  }
}

TEST_CASE_FIXTURE(WithTarSet, "nothing is unpacked through a link that base.tar has in the way") {
  fs::remove_all(data + "/pg_tblspc");
  fs::create_symlink("base", data + "/pg_tblspc");
  PackSet("", "");
  const Outcome outcome = velafs({"import", "main", "--from-tar", set});
  CHECK(outcome.exit_status == 4);
  CHECK_MESSAGE(outcome.err.find("\"pg_tblspc\" is not a directory") != std::string::npos,
                outcome.err);
  CheckNothingLeft();
}

TEST_CASE_FIXTURE(WithArchive, "FIFOs of an archive are left out, and told") {
  REQUIRE(mkfifo((data + "/base/fifo").c_str(), 0600) == 0);
  Pack(".");
  const json imported = velafs.Done({"import", "main", "--from-tar", tar});
  CHECK(imported["warnings"].back() ==
        "FIFOs are left out, as pg_basebackup does: \"./base/fifo\"");
  velafs.Done({"export", "main", "--to-dir", velafs.scratch / "out"});
  CHECK_FALSE(fs::exists(velafs.scratch / "out/base/fifo"));
}

TEST_CASE_FIXTURE(WithArchive, "a device in an archive is refused") {
  if (geteuid() != 0) return;
  REQUIRE(mknod((data + "/base/zero").c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0);
  Pack(".");
  CheckRefused("neither a file, a directory nor a link", 4);
}

TEST_CASE_FIXTURE(WithArchive, "links out of an archive are left out when that is asked for") {
  fs::create_symlink("/srv/backups", data + "/backups");
  Pack(".");
  CheckRefused("\"backups\" leads to \"/srv/backups\", out of the archive", 4);
  const json imported = velafs.Done({"import", "main", "--from-tar", tar, "--links", "skip"});
  CHECK(imported["warnings"].back() ==
        "\"backups\" leads to \"/srv/backups\", out of the archive: it is left out");
}

TEST_CASE_FIXTURE(WithArchive, "the configuration may come from beside an archive") {
  WriteHostFile(velafs.scratch / "etc/postgresql.conf", "include_dir 'conf.d'\nwork_mem = '1MB'\n");
  WriteHostFile(velafs.scratch / "etc/conf.d/a.conf", "timezone = 'Asia/Tokyo'\n");
  Pack(".");
  const json imported =
      velafs.Done({"import", "main", "--from-tar", tar, "--config-dir", velafs.scratch / "etc"});
  CHECK(imported["config_dir"] == velafs.scratch / "etc");
  velafs.Done({"export", "main", "--to-dir", velafs.scratch / "out"});
  CHECK(ReadHostFile(velafs.scratch / "out/conf.d/a.conf") == "timezone = 'Asia/Tokyo'\n");
}

TEST_CASE_FIXTURE(WithArchive, "however deep its directories are, nothing is left of an archive") {
  std::string deep = data + "/deep";
  for (int i = 0; i < 200; ++i) deep += "/d";
  WriteHostFile(deep + "/file", "x");
  fs::create_directories(data + "/locked/inner");
  REQUIRE(chmod((data + "/locked").c_str(), 0500) == 0);
  fs::create_symlink("/etc/passwd", data + "/refused");
  Pack("./PG_VERSION ./deep ./locked ./refused");
  REQUIRE(chmod((data + "/locked").c_str(), 0700) == 0);
  const std::string command = "ulimit -n 64; exec " + Velafs::Binary() + " --store " +
                              velafs.store() + " import main --from-tar " + tar + " 2>/dev/null";
  CHECK(std::system(command.c_str()) != 0);
  CheckNothingLeft();
}

// $VELAFS_FUZZ_ROUNDS says how many; each is told by its number.
TEST_CASE_FIXTURE(WithArchive, "a damaged archive is imported or refused, and leaves nothing") {
  fs::remove(data + "/base/5/1259");
  fs::remove(data + "/base/5/other");
  WriteHostFile(data + "/base/5/1260", Noise(3000, 4));
  fs::create_hard_link(data + "/base/5/1260", data + "/base/5/other");
  WriteHostFile(data + "/base/" + std::string(150, 'n') + "\xc3\xa4", "pax");
  Pack(".");
  const std::string whole = ReadHostFile(tar);
  const char* given = std::getenv("VELAFS_FUZZ_ROUNDS");
  const unsigned long rounds = given == nullptr ? 100 : std::strtoul(given, nullptr, 10);
  for (unsigned long round = 0; round < rounds; ++round) {
    CAPTURE(round);
    std::mt19937_64 random(round);
    const auto below = [&random](size_t bound) { return random() % bound; };
    std::string damaged = whole;
    for (size_t i = below(4) + 1; i > 0; --i) {
      const size_t block = below(damaged.size() / 512) * 512;
      switch (below(4)) {
        case 0:  // of a header, its checksum among them
          damaged[block + below(512)] = static_cast<char>(below(256));
          break;
        case 1:
          damaged[block + 148 + below(8)] = '7';
          break;
        case 2:
          damaged.erase(block, 512);
          break;
        default:
          damaged.insert(block, damaged.substr(below(damaged.size() / 512) * 512, 512));
      }
    }
    WriteHostFile(tar, damaged);
    const Outcome outcome = velafs({"import", "main", "--from-tar", tar});
    CHECK_MESSAGE((outcome.exit_status == 0 || outcome.err.starts_with("velafs: error: ")),
                  outcome.err);
    CheckNothingLeft();
    if (outcome.exit_status == 0) {
      velafs.Done({"unprotect", "main"});
      velafs.Done({"delete", "main", "--purge"});
    }
  }
}

TEST_CASE_FIXTURE(WithArchive, "what is no whole archive of a PGDATA is refused") {
  SUBCASE("a block with a wrong checksum") {
    Pack("./PG_VERSION ./global");
    std::string content = ReadHostFile(tar);
    const size_t header = content.find("./global/pg_control");
    REQUIRE(header != std::string::npos);
    content[header + 148] = '7';
    WriteHostFile(tar, content);
    CheckRefused("", 1);
  }
  SUBCASE("no archive") {
    WriteHostFile(tar, Noise(100'000, 3));
    CheckRefused("it is not a tar archive", 1);
  }
  SUBCASE("nothing") {
    WriteHostFile(tar, "");
    CheckRefused("it is empty", 1);
  }
  SUBCASE("cut short behind a member") {
    std::string options;
    SUBCASE("plain") {}
    SUBCASE("compressed") { options = "--gzip"; }
    Pack("./PG_VERSION ./global/pg_control");
    const std::string whole = ReadHostFile(tar);
    fs::resize_file(tar, (whole.find_last_not_of('\0') / 512 + 1) * 512);
    if (!options.empty()) {
      REQUIRE(std::system(("gzip " + tar + " && mv " + tar + ".gz " + tar).c_str()) == 0);
    }
    CheckRefused("it is cut short", 1);
  }
  SUBCASE("cut short") {
    Pack(".");
    fs::resize_file(tar, 100'000);
    CheckRefused("", 1);
  }
  SUBCASE("not there") { CheckRefused("there is no file", 3); }
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
