// `velafs export`, without a mount.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>

#include "tests/cli/run_velafs.h"
#include "tests/places.h"
#include "tests/store/store_fixture.h"
#include "tests/store/tree.h"

namespace velafs::test {
namespace {

using nlohmann::json;

struct WithTree {
  WithTree() {
    WriteHostFile(data + "/PG_VERSION", "15\n");
    WriteHostFile(data + "/global/pg_control", Noise(8192, 1));
    WriteHostFile(data + "/base/5/1259", Noise(3'000'000, 2));
    WriteHostFile(data + "/base/5/odd name\xc3\xa4", "x");
    WriteHostFile(data + "/base/5/sparse", Noise(1000, 3));
    fs::resize_file(data + "/base/5/sparse", 20'000'000);
    fs::create_directories(data + "/pg_tblspc");
    WriteHostFile(data + "/pg_tblspc/16400/PG_15/1", "in a tablespace");
    fs::create_symlink("5/1259", data + "/base/link");
    fs::create_hard_link(data + "/base/5/1259", data + "/global/other");
    REQUIRE(chmod((data + "/base/5").c_str(), 02750) == 0);
    REQUIRE(chmod((data + "/PG_VERSION").c_str(), 0400) == 0);
    if (geteuid() == 0) REQUIRE(lchown((data + "/base/5/1259").c_str(), 1234, 5678) == 0);
    for (const char* path : {"/base/5/1259", "/base/5", "/pg_tblspc/16400", ""}) {
      const timespec times[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 123'456'789},
                                 {.tv_sec = 1'100'000'000, .tv_nsec = 987'654'321}};
      REQUIRE(utimensat(AT_FDCWD, (data + path).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
    }
    expected = TreeOfDirectory(data);
    velafs.Done({"init"});
    velafs.Done({"import", "main", "--from-dir", data});
  }
  // Nothing is in `place` but what is named.
  void CheckHolds(const std::string& place, const std::set<std::string>& names) {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(place)) {
      found.insert(entry.path().filename().string());
    }
    CHECK(found == names);
  }

  Velafs velafs;
  const std::string place = velafs.scratch / "place";
  const std::string data = velafs.scratch / "data";
  const bool has_place = fs::create_directories(velafs.scratch / "place");
  Tree expected;
};

TEST_CASE_FIXTURE(WithTree, "an exported directory is what was imported") {
  const json result = velafs.Done({"export", "main", "--to-dir", place + "/out/"});
  CHECK(result == json{{"source", "main"},
                       {"files", 6},
                       {"special_left_out", 0},
                       {"sockets_left_out", 0},
                       {"bytes", 3 + 8192 + 3'000'000 + 1 + 20'000'000 + 15},
                       {"path", place + "/out"}});
  CHECK(TreeOfDirectory(place + "/out") == expected);
  CheckHolds(place, {"out"});
  struct stat sparse;
  REQUIRE(stat((place + "/out/base/5/sparse").c_str(), &sparse) == 0);
  CHECK(sparse.st_blocks * 512 < 1'000'000);
  CHECK(velafs({"export", "main", "--to-dir", place + "/second"}).out ==
        "exported \"main\" to \"" + place + "/second\": 6 files, 21.9 MiB\n");
}

TEST_CASE_FIXTURE(WithTree, "an empty directory is filled, and any other is refused and left") {
  REQUIRE(mkdir((place + "/out").c_str(), 0755) == 0);
  velafs.Done({"export", "main", "--to-dir", place + "/out"});
  CHECK(TreeOfDirectory(place + "/out") == expected);
  const Outcome again = velafs({"export", "main", "--to-dir", place + "/out"});
  CHECK(again.exit_status == 4);
  CHECK(again.err == "velafs: error: cannot export \"main\" to \"" + place + "/out\": \"" + place +
                         "/out\" is not empty\n"
                         "velafs: hint: name a directory that is empty, or not there yet\n");
  CHECK(TreeOfDirectory(place + "/out") == expected);
  WriteHostFile(place + "/file", "mine");
  CHECK(velafs({"export", "main", "--to-dir", place + "/file"}).exit_status == 7);
  CHECK(velafs({"export", "main", "--to-dir", place + "/no/such"}).exit_status == 1);
  CHECK(ReadHostFile(place + "/file") == "mine");
  CheckHolds(place, {"out", "file"});
}

TEST_CASE_FIXTURE(WithTree, "a tablespace is written elsewhere, and a link leads there") {
  const std::string there = place + "/fast";
  SUBCASE("to a directory that is not there yet") {}
  SUBCASE("to an empty one") { REQUIRE(mkdir(there.c_str(), 0755) == 0); }
  SUBCASE("by way of a link") {
    fs::create_directories(place + "/real");
    fs::create_symlink(place + "/real", there);
  }
  velafs.Done(
      {"export", "main", "--to-dir", place + "/out", "--tablespace-mapping", "16400=" + there});
  CHECK(fs::read_symlink(place + "/out/pg_tblspc/16400") == there);
  CHECK(ReadHostFile(there + "/PG_15/1") == "in a tablespace");
  Tree exported = TreeOfDirectory(place + "/out");
  exported.erase("pg_tblspc/16400");
  // Their link counts, and the times of what the link was made in, are others.
  for (const char* path : {"pg_tblspc/16400", "pg_tblspc/16400/PG_15", "pg_tblspc/16400/PG_15/1"}) {
    expected.erase(path);
  }
  exported.erase("pg_tblspc");
  expected.erase("pg_tblspc");
  CHECK(exported == expected);
}

TEST_CASE_FIXTURE(WithTree, "a mapping that cannot be had leaves nothing") {
  const std::vector<std::string> start = {"export", "main", "--to-dir", place + "/out",
                                          "--tablespace-mapping"};
  const auto exit_status = [&](const std::string& mapping,
                               const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = start;
    words.push_back(mapping);
    words.insert(words.end(), more.begin(), more.end());
    return velafs(words).exit_status;
  };
  CHECK(exit_status("16400=relative") == 2);
  CHECK(exit_status("16400") == 2);
  CHECK(exit_status("x=/y") == 2);
  CHECK(exit_status("16400=" + place + "/a", {"--tablespace-mapping", "16400=/b"}) == 2);
  CHECK(velafs({"export", "main", "--to-tar", place + "/t", "--tablespace-mapping",
                "16400=" + place + "/a"})
            .exit_status == 2);
  CHECK(exit_status("16401=" + place + "/a") == 3);
  CheckHolds(place, {});
  WriteHostFile(place + "/full/file", "mine");
  CHECK(exit_status("16400=" + place + "/full") == 4);
  CHECK(ReadHostFile(place + "/full/file") == "mine");
  CheckHolds(place, {"full"});
}

TEST_CASE_FIXTURE(WithTree, "nobody else enters an export before it is complete") {
  WriteHostFile(data + "/base/5/large", Noise(60'000'000, 5));
  std::vector<std::string> import = {"import", "open", "--from-dir", data};
  if (geteuid() == 0) {
    REQUIRE(chown(data.c_str(), 1234, 5678) == 0);
    import.insert(import.end(), {"--read-as", "root"});
  }
  REQUIRE(chmod(data.c_str(), 0777) == 0);
  velafs.Done(import);
  std::string top = place;
  SUBCASE("to a directory that is not there yet") {}
  SUBCASE("to an empty one") {
    top = place + "/out";
    REQUIRE(mkdir(top.c_str(), 0777) == 0);
  }
  const Process exported =
      velafs.Start({"--store", velafs.store(), "export", "open", "--to-dir", place + "/out"});
  size_t looks = 0;
  const auto has_ended = [&] {
    siginfo_t ended{};
    waitid(P_PID, static_cast<id_t>(exported.pid), &ended, WEXITED | WNOHANG | WNOWAIT);
    return ended.si_pid != 0;
  };
  while (!has_ended()) {
    for (const auto& entry : fs::directory_iterator(top)) {
      struct stat info {};
      const std::string name = entry.path().filename().string();
      if (name.find(".partial-") == std::string::npos) continue;
      if (stat(entry.path().c_str(), &info) != 0) continue;  // complete by now
      ++looks;
      REQUIRE(info.st_uid == geteuid());
      REQUIRE((info.st_mode & 07777) == 0700);
    }
  }
  CHECK(velafs.Wait(exported).exit_status == 0);
  CHECK(looks > 0);
  CHECK(TreeOfDirectory(place + "/out") == TreeOfDirectory(data));
}

TEST_CASE_FIXTURE(WithTree, "setuid programs and devices are not exported unless asked for") {
  REQUIRE(chmod((data + "/global/other").c_str(), 06755) == 0);
  velafs.Done({"import", "special", "--from-dir", data});
  const auto mode_of = [&](const std::string& path) {
    struct stat info {};
    REQUIRE(lstat((place + path).c_str(), &info) == 0);
    return info.st_mode & 07777;
  };
  const std::string warning =
      "velafs: warning: setuid and setgid bits and devices of 1 files were left out; "
      "--keep-special writes them\n";
  const Outcome plain = velafs({"export", "special", "--to-dir", place + "/plain"});
  CHECK(plain.exit_status == 0);
  CHECK(plain.err == warning);
  CHECK(mode_of("/plain/global/other") == 0755);
  CHECK(mode_of("/plain/base/5") == 02750);  // of a directory it gives nobody rights
  const json kept =
      velafs.Done({"export", "special", "--to-dir", place + "/kept", "--keep-special"});
  CHECK(kept["special_left_out"] == 0);
  CHECK(mode_of("/kept/global/other") == 06755);

  const Outcome to_tar = velafs({"export", "special", "--to-tar", place + "/tar"});
  CHECK(to_tar.err == warning);
  REQUIRE(mkdir((place + "/untarred").c_str(), 0755) == 0);
  REQUIRE(std::system(("tar -xpf " + place + "/tar -C " + place + "/untarred").c_str()) == 0);
  CHECK(mode_of("/untarred/global/other") == 0755);
}

TEST_CASE_FIXTURE(WithTree, "an archive is one that tar unpacks") {
  const json result = velafs.Done({"export", "main", "--to-tar", place + "/main.tar"});
  CHECK(result["path"] == place + "/main.tar");
  CHECK(fs::file_size(place + "/main.tar") < 4'000'000);
  REQUIRE(mkdir((place + "/out").c_str(), 0755) == 0);
  const std::string untar = "tar -xpf " + place + "/main.tar -C " + place + "/out";
  REQUIRE(std::system(untar.c_str()) == 0);
  CHECK(TreeOfDirectory(place + "/out") == expected);
  CHECK(velafs({"export", "main", "--to-tar", place + "/main.tar"}).exit_status == 7);
  const Outcome to_stdout = velafs({"export", "main", "--to-tar", "-"});
  CHECK(to_stdout.exit_status == 0);
  CHECK(to_stdout.err.empty());
  CHECK(to_stdout.out == ReadHostFile(place + "/main.tar"));
  CheckHolds(place, {"main.tar", "out"});
}

TEST_CASE_FIXTURE(WithTree, "an archive is compressed as its name says") {
  const std::map<std::string, std::pair<std::string, std::string>> first_bytes = {
      {"x.tar.zst", {"zstd", "\x28\xb5\x2f\xfd"}},
      {"x.tar.gz", {"gzip", "\x1f\x8b"}},
      {"x.tar.xz",
       {"xz",
        "\xfd"
        "7zXZ"}},
      {"x.tar.lz4", {"lz4", "\x04\x22\x4d\x18"}}};
  for (const auto& [name, expected] : first_bytes) {
    const std::string file = velafs.scratch / name;
    CAPTURE(file);
    CHECK(velafs.Done({"export", "main", "--to-tar", file})["compression"] == expected.first);
    CHECK(ReadHostFile(file).starts_with(expected.second));
    const std::string again = "again-" + expected.first;
    CHECK(velafs.Done({"import", again, "--from-tar", file})["chunks_new"] == 0);
    CHECK(velafs.Done({"diff", "main", again})["files"].empty());
  }
  const std::string plain = velafs.scratch / "x.other";
  CHECK(velafs.Done({"export", "main", "--to-tar", plain})["compression"].is_null());
  CHECK(ReadHostFile(plain).substr(257, 5) == "ustar");
}

TEST_CASE_FIXTURE(WithTree, "what an export that was killed has left is named") {
  fs::create_directory(place + "/out.partial-99999999");  // no process has such a number
  fs::create_directory(place + "/out.partial-" + std::to_string(getpid()));
  const Outcome outcome = velafs({"export", "main", "--to-dir", place + "/out"});
  CHECK(outcome.exit_status == 0);
  CHECK(outcome.err.find("\"" + place + "/out.partial-99999999\" is left of an export") !=
        std::string::npos);
  CHECK(outcome.err.find("out.partial-" + std::to_string(getpid()) + "\"") == std::string::npos);
}

TEST_CASE_FIXTURE(WithTree, "an archive is not named for a compression that it does not have") {
  for (const char* name : {"/x.tar.bz2", "/x.tbz", "/x.tar.Z"}) {
    const Outcome outcome = velafs({"export", "main", "--to-tar", place + name});
    CHECK(outcome.exit_status == 2);
    CHECK_MESSAGE(outcome.err.find("end with .zst, .gz, .xz or .lz4") != std::string::npos,
                  outcome.err);
  }
  CheckHolds(place, {});
}

TEST_CASE_FIXTURE(WithTree, "a place that may not be looked at is not said to be no directory") {
  fs::create_symlink("loop", place + "/loop");
  const Outcome outcome = velafs({"export", "main", "--to-dir", place + "/loop/out"});
  CHECK_MESSAGE(outcome.err.find("Too many levels of symbolic links") != std::string::npos,
                outcome.err);
}

TEST_CASE_FIXTURE(WithTree, "what cannot be exported leaves nothing") {
  CHECK(velafs({"export", "none", "--to-dir", place + "/out"}).exit_status == 3);
  CHECK(velafs({"export", "none", "--to-tar", place + "/tar"}).exit_status == 3);
  const Outcome both = velafs({"export", "main", "--to-tar", "-", "--json"});
  CHECK(both.exit_status == 2);
  CHECK(both.Json()["error"]["code"] == "usage");
  CHECK(velafs({"export", "main"}).exit_status == 2);
  CHECK(velafs({"export", "main", "--to-dir", "a", "--to-tar", "b"}).exit_status == 2);
  CheckHolds(place, {});
}

TEST_CASE_FIXTURE(WithTree, "an export that fails half way leaves nothing") {
  REQUIRE(mkdir((place + "/empty").c_str(), 0755) == 0);
  const auto limited = [&](const std::string& target) {
    const char* binary = std::getenv("VELAFS_BIN");
    const std::string command = "trap '' XFSZ; ulimit -f 1000; exec " +
                                std::string(binary != nullptr ? binary : kVelafsProgram) +
                                " --store " + velafs.store() + " export main " + target + " 2>" +
                                place + "/err";
    return WEXITSTATUS(std::system(command.c_str()));
  };
  for (const std::string& target : {"--to-dir " + place + "/out", "--to-dir " + place + "/empty",
                                    "--to-tar " + place + "/tar"}) {
    CAPTURE(target);
    CHECK(limited(target) == 1);
    CHECK(ReadHostFile(place + "/err").starts_with("velafs: error: cannot export \"main\""));
    CheckHolds(place, {"empty", "err"});
    CheckHolds(place + "/empty", {});
    struct stat info;
    REQUIRE(stat((place + "/empty").c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0755);
  }
}

}  // namespace
}  // namespace velafs::test
