#include "pgctl-wrapper/data/pg_version.h"

#include <doctest/doctest.h>

using namespace velafs;
using namespace velafs::pgctl;

TEST_CASE("PG_VERSION holds a major version and a newline") {
  CHECK(*ParsePgVersion("15\n") == 15);
  CHECK(*ParsePgVersion("10") == 10);
}

TEST_CASE("a version without a readiness line in postmaster.pid is refused by name") {
  const Status status = ParsePgVersion("9.6\n").status();
  CHECK(status.code() == Code::kFailed);
  CHECK(status.message() == "PostgreSQL 9.6 is too old");
}

TEST_CASE("a PG_VERSION that is none fails") {
  for (const char* content : {"", "\n", "banana\n", "-3\n", "0\n"}) {
    CAPTURE(content);
    CHECK_FALSE(ParsePgVersion(content).ok());
  }
}

TEST_CASE("the version of a server program is read from its banner") {
  CHECK(ParseServerBanner("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n") == 15);
  CHECK(ParseServerBanner("postgres (PostgreSQL) 17devel\n") == 17);
  CHECK(ParseServerBanner("postgres (PostgreSQL) 16beta1\n") == 16);
  CHECK(ParseServerBanner("bash, version 5.2") == std::nullopt);
  CHECK(ParseServerBanner("") == std::nullopt);
}
