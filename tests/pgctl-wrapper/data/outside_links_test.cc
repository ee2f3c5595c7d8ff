#include "pgctl-wrapper/data/outside_links.h"

#include "tests/os/scratch_directory.h"
#include "tests/store/store_fixture.h"

namespace velafs::pgctl {
namespace {

using namespace test;

struct WithDataDirectory {
  WithDataDirectory() {
    fs::create_directories(data + "/pg_tblspc/16384/PG_15");
    fs::create_directories(data + "/base/5");
    fs::create_directories(outside + "/ts");
  }
  void Link(const std::string& target, const std::string& name) {
    fs::remove_all(data + "/" + name);
    fs::create_symlink(target, data + "/" + name);
  }
  std::vector<std::string> Found() {
    const auto found = FindOutsideLinks(data);
    REQUIRE_MESSAGE(found.ok(), found.status().message());
    std::vector<std::string> names;
    for (const OutsideLink& link : *found) names.push_back(link.name + " -> " + link.target);
    return names;
  }
  ScratchDirectory scratch;
  const std::string data = scratch / "branch";
  const std::string outside = scratch / "outside";
};

TEST_CASE_FIXTURE(WithDataDirectory, "links inside a branch, and to what is only read, are fine") {
  fs::create_directories(data + "/velafs_tablespaces/16385");
  Link("../velafs_tablespaces/16385", "pg_tblspc/16385");
  Link("../velafs_tablespaces/gone", "pg_tblspc/16386");
  Link("base", "pg_wal");
  Link(outside + "/hba", "pg_hba.conf");
  Link(outside + "/ts", "backups");
  CHECK(Found().empty());
  CHECK(CheckNothingLeadsOut(data, "pr-1").ok());
}

TEST_CASE_FIXTURE(WithDataDirectory, "a link that leads out of a branch is found") {
  SUBCASE("a tablespace") {
    Link(outside + "/ts", "pg_tblspc/16400");
    CHECK(Found() == std::vector<std::string>{"pg_tblspc/16400 -> " + outside + "/ts"});
    const Status refused = CheckNothingLeadsOut(data, "pr-1");
    CHECK(refused.code() == Code::kRefused);
    CheckMessage(refused, "\"pg_tblspc/16400\" of branch \"pr-1\" leads out of it");
    CHECK(refused.hint().find("velafs tablespaces pr-1 --bring-in") != std::string::npos);
  }
  SUBCASE("to where nothing is") {
    Link("/nonexistent/velafs/ts", "pg_tblspc/16400");
    Link("../../other/ts", "pg_tblspc/16401");
    CHECK(Found() == std::vector<std::string>{"pg_tblspc/16400 -> /nonexistent/velafs/ts",
                                              "pg_tblspc/16401 -> ../../other/ts"});
  }
  SUBCASE("through another link") {
    Link(outside, "base/way");
    Link("../base/way/ts", "pg_tblspc/16400");
    CHECK(Found() ==
          std::vector<std::string>{"base/way -> " + outside, "pg_tblspc/16400 -> ../base/way/ts"});
  }
  SUBCASE("in a loop") {
    Link("16401", "pg_tblspc/16400");
    Link("16400", "pg_tblspc/16401");
    CHECK(Found().size() == 2);
  }
  SUBCASE("a directory that servers write to") {
    Link(outside, "pg_wal");
    Link(outside, "global");
    CHECK(Found() == std::vector<std::string>{"global -> " + outside, "pg_wal -> " + outside});
    CHECK(CheckNothingLeadsOut(data, "pr-1").hint().find("replace the link by its target") !=
          std::string::npos);
  }
  SUBCASE("a database, or a part of a tablespace") {
    Link(outside, "base/6");
    Link(outside, "pg_tblspc/16384/PG_15/5");
    CHECK(Found() == std::vector<std::string>{"base/6 -> " + outside,
                                              "pg_tblspc/16384/PG_15/5 -> " + outside});
    Link(outside, "pg_tblspc/16384/PG_15");
    CHECK(Found().back() == "pg_tblspc/16384/PG_15 -> " + outside);
  }
  SUBCASE("all tablespaces at once") {
    fs::create_symlink(outside, outside + "/link");
    Link(outside, "pg_tblspc");
    CHECK(Found() == std::vector<std::string>{"pg_tblspc -> " + outside});
  }
  SUBCASE("to a directory whose name only begins like the branch's") {
    fs::create_directories(data + "2/ts");
    Link(data + "2/ts", "pg_tblspc/16400");
    CHECK(Found().size() == 1);
  }
}

}  // namespace
}  // namespace velafs::pgctl
