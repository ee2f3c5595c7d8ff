#include "tests/store/store_fixture.h"

namespace velafs::store {
namespace {

using namespace test;

struct LinksFixture : StoreFixture {
  void Link(const std::string& target, const std::string& path) {
    fs::create_symlink(target, data + "/" + path);
  }
  // Content of a file of the branch as ContentOf prints it.
  void CheckContent(const std::string& path, const std::string& content) {
    const Tree tree = BranchTree("main");
    const auto found = tree.find(path);
    REQUIRE_MESSAGE(found != tree.end(), path);
    CHECK_MESSAGE(found->second.ends_with(" " + ContentOf(content)), found->second);
  }
  void CheckWarning(const ImportResult& result, const std::string& words) {
    for (const std::string& warning : result.warnings) {
      if (warning.find(words) != std::string::npos) return;
    }
    FAIL_CHECK("no warning with: " << words);
  }

  const std::string outside = scratch / "outside";
};

TEST_CASE_FIXTURE(LinksFixture, "a relative link that stays inside is kept as it is") {
  Link("5/1259", "base/file");
  Link("../global", "base/dir");
  Link("dir/pg_control", "base/through");
  Link(".", "self");
  const ImportResult result = Import("main");
  CHECK(result.warnings.empty());
  CHECK(TargetInBranch("main", "base/file") == "5/1259");
  CHECK(TargetInBranch("main", "base/dir") == "../global");
  CHECK(TargetInBranch("main", "base/through") == "dir/pg_control");
  CHECK(TargetInBranch("main", "self") == ".");
}

TEST_CASE_FIXTURE(LinksFixture, "an absolute link that leads inside becomes relative") {
  Link(data + "/base/5/1259", "global/file");
  Link(data + "/global", "base/5/dir");
  Link(data, "base/root");
  const ImportResult result = Import("main");
  CHECK(result.warnings.empty());
  CHECK(TargetInBranch("main", "global/file") == "../base/5/1259");
  CHECK(TargetInBranch("main", "base/5/dir") == "../../global");
  CHECK(TargetInBranch("main", "base/root") == "..");
}

// Under the mount the step above the branch is the directory of all branches.
TEST_CASE_FIXTURE(LinksFixture,
                  "a link that leaves by the top and comes back becomes one that stays") {
  Link("../pgdata/base", "again");
  Link("../../pgdata/base/5", "base/again");
  Link("self/../pgdata/base", "tricky");
  Link(".", "self");
  Import("main");
  CHECK(TargetInBranch("main", "again") == "base");
  CHECK(TargetInBranch("main", "base/again") == "5");
  CHECK(TargetInBranch("main", "tricky") == "base");
}

TEST_CASE_FIXTURE(LinksFixture, "a link to a directory elsewhere becomes that directory") {
  WriteHostFile(outside + "/wal/000000010000000000000001", "wal");
  WriteHostFile(outside + "/wal/archive_status/x.done", "");
  Link(outside + "/wal", "pg_wal");
  const ImportResult result = Import("main");
  CheckWarning(result, "\"pg_wal\" leads out of the directory, to \"" + outside + "/wal\"");
  CHECK(result.warnings.size() == 1);
  CheckContent("pg_wal/000000010000000000000001", "wal");
  const Tree tree = BranchTree("main");
  CHECK(tree.contains("pg_wal/archive_status/x.done"));
  CHECK(tree.at("pg_wal").starts_with("40"));
  CHECK(TreeOfDirectory(data).at("pg_wal").starts_with("120"));
}

TEST_CASE_FIXTURE(LinksFixture, "a link to a file elsewhere becomes a file with its content") {
  WriteHostFile(outside + "/etc/postgresql.conf", "port = 5432\n");
  fs::remove(data + "/postgresql.conf");
  Link("../outside/etc/postgresql.conf", "postgresql.conf");
  Link(outside + "/etc/postgresql.conf", "second.conf");
  const ImportResult result = Import("main");
  CheckWarning(result, "\"postgresql.conf\" leads out of the directory");
  CheckContent("postgresql.conf", "port = 5432\n");
  CheckContent("second.conf", "port = 5432\n");
}

TEST_CASE_FIXTURE(LinksFixture,
                  "two links to one directory elsewhere still lead to one directory") {
  WriteHostFile(outside + "/logs/a", "a");
  options.links = LinksOut::kFollow;
  Link(outside + "/logs", "log");
  Link(outside + "/logs", "pg_log");
  Link(outside + "/logs/a", "base/a");
  Import("main");
  CheckContent("log/a", "a");
  CHECK(TargetInBranch("main", "pg_log") == "log");
  CHECK(TargetInBranch("main", "base/a") == "../log/a");
}

TEST_CASE_FIXTURE(LinksFixture, "links in a directory imported from elsewhere are looked at, too") {
  WriteHostFile(outside + "/wal/segment", "segment");
  WriteHostFile(outside + "/more/file", "more");
  fs::create_symlink("segment", outside + "/wal/near");
  fs::create_symlink("../more", outside + "/wal/far");
  fs::create_symlink(data + "/base", outside + "/wal/back");
  fs::create_symlink(".", outside + "/wal/self");
  Link(outside + "/wal", "pg_wal");
  Import("main");
  CHECK(TargetInBranch("main", "pg_wal/near") == "segment");
  CHECK(TargetInBranch("main", "pg_wal/back") == "../base");
  CHECK(TargetInBranch("main", "pg_wal/self") == ".");
  CheckContent("pg_wal/far/file", "more");
}

TEST_CASE_FIXTURE(LinksFixture, "a tablespace takes the place of the link to it") {
  WriteHostFile(outside + "/ts/PG_15_202209061/5/16390", "rows");
  WriteHostFile(outside + "/ts/PG_14_202107181/5/1", "old");
  WriteHostFile(outside + "/ts/unrelated", "x");
  WriteHostFile(outside + "/ts/PG_15_202209061/pgsql_tmp/pgsql_tmp1.0", "x");
  WriteHostFile(data + "/postgresql.auto.conf", "work_mem = '4MB'");
  fs::permissions(outside + "/ts", fs::perms::owner_all | fs::perms::group_all);
  fs::create_directory(data + "/pg_tblspc");
  Link(outside + "/ts", "pg_tblspc/16389");
  const Tree before = TreeOfDirectory(outside);
  const ImportResult result = Import("main");
  CHECK(result.warnings.size() == 1);
  CheckWarning(result, "\"allow_in_place_tablespaces = on\"");
  CheckContent("postgresql.auto.conf", "work_mem = '4MB'\nallow_in_place_tablespaces = on\n");
  CheckContent("pg_tblspc/16389/PG_15_202209061/5/16390", "rows");
  CheckContent("pg_tblspc/16389/PG_14_202107181/5/1", "old");
  const Tree tree = BranchTree("main");
  CHECK_FALSE(tree.contains("velafs_tablespaces"));
  CHECK_FALSE(tree.contains("pg_tblspc/16389/unrelated"));
  CHECK_FALSE(tree.contains("pg_tblspc/16389/PG_15_202209061/pgsql_tmp"));
  CHECK(tree.at("pg_tblspc/16389").starts_with("40700 "));
  CHECK(TreeOfDirectory(outside) == before);
  CHECK(ReadHostFile(data + "/postgresql.auto.conf") == "work_mem = '4MB'");
}

TEST_CASE_FIXTURE(LinksFixture, "a tablespace that is a directory already stays one") {
  WriteHostFile(data + "/pg_tblspc/16389/PG_15_202209061/5/16390", "rows");
  const ImportResult result = Import("main");
  CheckContent("pg_tblspc/16389/PG_15_202209061/5/16390", "rows");
  CheckWarning(result, "no postgresql.auto.conf: set allow_in_place_tablespaces = on");
}

TEST_CASE_FIXTURE(LinksFixture, "a configuration that allows directories stays as it is") {
  WriteHostFile(data + "/pg_tblspc/16389/PG_15_202209061/5/16390", "rows");
  WriteHostFile(data + "/postgresql.auto.conf", "\nallow_in_place_tablespaces = on\n");
  CHECK(Import("main").warnings.empty());
  CheckContent("postgresql.auto.conf", "\nallow_in_place_tablespaces = on\n");
}

TEST_CASE_FIXTURE(LinksFixture, "without tablespaces the configuration stays as it is") {
  WriteHostFile(data + "/postgresql.auto.conf", "work_mem = '4MB'\n");
  fs::create_directory(data + "/pg_tblspc");
  CHECK(Import("main").warnings.empty());
  CheckContent("postgresql.auto.conf", "work_mem = '4MB'\n");
}

TEST_CASE_FIXTURE(LinksFixture, "a link to a tablespace that is not there is refused") {
  fs::create_directory(data + "/pg_tblspc");
  SUBCASE("nothing") { Link("/nonexistent/velafs/ts", "pg_tblspc/16389"); }
  SUBCASE("a file") {
    WriteHostFile(outside + "/file", "x");
    Link(outside + "/file", "pg_tblspc/16389");
  }
  const Status refused = ImportFailure();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "where there is no directory: tablespace 16389 would be missing");
  CheckIsEmpty();
}

TEST_CASE_FIXTURE(
    LinksFixture,
    "a tablespace that an earlier version imported becomes a directory in pg_tblspc") {
  WriteHostFile(data + "/velafs_tablespaces/16389/PG_15_202209061/5/16390", "rows");
  WriteHostFile(outside + "/ts/PG_15_202209061/5/16395", "more");
  fs::create_directory(data + "/pg_tblspc");
  Link("../velafs_tablespaces/16389", "pg_tblspc/16389");
  Link(outside + "/ts", "pg_tblspc/16394");
  Import("main");
  CheckContent("pg_tblspc/16389/PG_15_202209061/5/16390", "rows");
  CheckContent("pg_tblspc/16394/PG_15_202209061/5/16395", "more");
  CHECK_FALSE(BranchTree("main").contains("velafs_tablespaces"));
}

TEST_CASE_FIXTURE(LinksFixture,
                  "a dangling link is kept with a warning, but leads nowhere outside") {
  Link("missing", "base/inside");
  Link("/nonexistent/velafs/x", "base/absolute");
  Link("../../other/x", "base/above");
  Link(data + "/later", "base/later");
  const ImportResult result = Import("main");
  CHECK(TargetInBranch("main", "base/inside") == "missing");
  CHECK(TargetInBranch("main", "base/absolute") == "../nonexistent/velafs/x");
  CHECK(TargetInBranch("main", "base/above") == "../other/x");
  CHECK(TargetInBranch("main", "base/later") == "../later");
  CHECK(result.warnings.size() == 4);
  CheckWarning(result, "\"base/inside\" is a link to \"missing\", where nothing is");
}

TEST_CASE_FIXTURE(LinksFixture, "loops of links are refused") {
  Link("b", "a");
  Link("a", "b");
  const Status refused = ImportFailure();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "\"" + data + "/a\" is a loop of links");
  CheckMessage(refused, "\"" + data + "/b\" is a loop of links");
}

TEST_CASE_FIXTURE(LinksFixture, "a link to a directory that contains what is imported is refused") {
  SUBCASE("above the PGDATA") { Link("..", "up"); }
  SUBCASE("the root") { Link("/", "up"); }
  SUBCASE("above a directory imported from elsewhere") {
    WriteHostFile(outside + "/deep/wal/x", "x");
    fs::create_symlink("../..", outside + "/deep/wal/up");
    Link(outside + "/deep/wal", "pg_wal");
  }
  SUBCASE("the store") { Link(root, "up"); }
  for (const LinksOut links : {LinksOut::kRefuse, LinksOut::kFollow}) {
    options.links = links;
    const Status refused = ImportFailure();
    CHECK(refused.code() == Code::kRefused);
    CheckMessage(refused, "which contains the imported directory");
  }
  CheckIsEmpty();
}

TEST_CASE_FIXTURE(LinksFixture, "a link to a device is refused, or left out") {
  Link("/dev/null", "null");
  CheckMessage(ImportFailure(), "\"null\" to \"/dev/null\"");
  options.links = LinksOut::kFollow;
  CheckMessage(ImportFailure(), "is a device");
  options.links = LinksOut::kSkip;
  CheckWarning(Import("main"), "\"null\" leads out of the directory, to \"/dev/null\"");
  CHECK_FALSE(BranchTree("main").contains("null"));
}

TEST_CASE_FIXTURE(LinksFixture,
                  "links that are none of PostgreSQL's own are refused, with what they lead to") {
  WriteHostFile(outside + "/backups/one", Noise(3000, 3));
  WriteHostFile(outside + "/backups/deep/two", Noise(1096, 4));
  WriteHostFile(outside + "/note", "1234");
  Link(outside + "/backups", "backups");
  Link(outside + "/note", "note.txt");
  const Status refused = ImportFailure();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "2 links lead out of the directory: \"backups\" to \"" + outside +
                            "/backups\" (4.0 KiB in 2 files), \"note.txt\" to \"" + outside +
                            "/note\" (4 B in 1 file)");
  CHECK(refused.hint() == "--links skip leaves them out, --links follow imports their targets");
  CheckIsEmpty();
}

TEST_CASE_FIXTURE(LinksFixture, "such links are left out, or followed, when that is asked for") {
  WriteHostFile(outside + "/backups/one", "one");
  Link(outside + "/backups", "backups");
  SUBCASE("left out") {
    options.links = LinksOut::kSkip;
    CheckWarning(Import("main"), "\"backups\" leads out of the directory, to \"" + outside +
                                     "/backups\": it is left out");
    CHECK_FALSE(BranchTree("main").contains("backups"));
  }
  SUBCASE("followed") {
    options.links = LinksOut::kFollow;
    CheckWarning(Import("main"), "its content is imported here (3 B in 1 file)");
    CheckContent("backups/one", "one");
  }
}

TEST_CASE_FIXTURE(LinksFixture,
                  "a link that cannot be followed is left out when that is asked for") {
  options.links = LinksOut::kSkip;
  SUBCASE("a loop") { Link("loop", "loop"); }
  SUBCASE("to the root") { Link("/", "loop"); }
  SUBCASE("to the store") { Link(root, "loop"); }
  Import("main");
  CHECK_FALSE(BranchTree("main").contains("loop"));
}

TEST_CASE_FIXTURE(LinksFixture,
                  "links of data and of configuration are followed, whatever is asked") {
  options.links = LinksOut::kSkip;
  WriteHostFile(outside + "/database/1", "rows");
  WriteHostFile(outside + "/server.key", "key");
  WriteHostFile(outside + "/conf.d/a.conf", "port = 1");
  Link(outside + "/database", "base/16384");
  Link(outside + "/server.key", "server.key");
  Link(outside + "/conf.d", "conf.d");
  Import("main");
  CheckContent("base/16384/1", "rows");
  CheckContent("server.key", "key");
  CheckContent("conf.d/a.conf", "port = 1");
}

TEST_CASE_FIXTURE(LinksFixture, "links behind a link of data are followed, too") {
  WriteHostFile(outside + "/wal/segment", "segment");
  WriteHostFile(outside + "/more/file", "more");
  fs::create_symlink("../more", outside + "/wal/far");
  Link(outside + "/wal", "pg_wal");
  Import("main");
  CheckContent("pg_wal/far/file", "more");
}

TEST_CASE_FIXTURE(LinksFixture, "an emptied directory that lies elsewhere is empty in the branch") {
  WriteHostFile(outside + "/stat/global.tmp", "x");
  Link(outside + "/stat", "pg_stat_tmp");
  Import("main");
  const Tree tree = BranchTree("main");
  CHECK(tree.at("pg_stat_tmp").starts_with("40"));
  CHECK_FALSE(tree.contains("pg_stat_tmp/global.tmp"));
}

}  // namespace
}  // namespace velafs::store
