#include "pgctl-wrapper/server/server_programs.h"

#include <doctest/doctest.h>

using namespace velafs;
using namespace velafs::pgctl;

TEST_CASE("a preload setting's libraries are separated by commas and may be quoted") {
  CHECK(SplitLibraries("").empty());
  CHECK(SplitLibraries(" , ").empty());
  CHECK(SplitLibraries("pg_stat_statements") == std::vector<std::string>{"pg_stat_statements"});
  CHECK(SplitLibraries(" a ,b,\t\"c,d\" ") == std::vector<std::string>{"a", "b", "c,d"});
}

TEST_CASE("joined libraries split into the same again") {
  const std::vector<std::string> libraries = {"$libdir/a", "b c", "d,e"};
  CHECK(SplitLibraries(JoinLibraries(libraries)) == libraries);
}

TEST_CASE("a version that is not installed fails and names the package") {
  const Status status = FindServerPrograms(11, "/nonexistent", "pr-1").status();
  CHECK(status.code() == Code::kFailed);
  const Status anywhere = FindServerPrograms(99, "", "pr-1").status();
  CHECK(anywhere.code() == Code::kFailed);
  CHECK(anywhere.message() == "no PostgreSQL 99 server programs found for branch \"pr-1\"");
  CHECK(anywhere.hint().find("apt install postgresql-99") != std::string::npos);
  CHECK(anywhere.hint().find("--pgbin") != std::string::npos);
}

TEST_CASE("the package that has a server is named as the distribution names it") {
  CHECK(HowToInstallServer("ID=debian\n", 15) == "apt install postgresql-15");
  CHECK(HowToInstallServer("ID=pop\nID_LIKE=\"ubuntu debian\"\n", 16) ==
        "apt install postgresql-16");
  CHECK(HowToInstallServer("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", 17) ==
        "dnf install postgresql17-server");
  CHECK(HowToInstallServer("ID=nixos\n", 18) == "PostgreSQL 18 of your distribution");
  CHECK(HowToInstallServer("", 18) == "PostgreSQL 18 of your distribution");
}
