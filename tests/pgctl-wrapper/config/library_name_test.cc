#include "pgctl-wrapper/config/library_name.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

TEST_CASE("a library has one name, however it is spelled") {
  for (const char* spelling :
       {"pg_cron", "PG_CRON", "pg_cron.so", "$libdir/pg_cron", "$libdir/plugins/pg_cron",
        "/usr/lib/postgresql/15/lib/pg_cron.so", "../lib/pg_cron", "pg_cron/", "pg_cron/.",
        "pg_cron/x/..", "pg_cron-1.6", "$libdir/pg_cron-1.6.so", "pg_cron.so.1", "//a//pg_cron"}) {
    CHECK_MESSAGE(LibraryName(spelling) == "pg_cron", spelling);
  }
}

TEST_CASE("other libraries keep their names") {
  CHECK(LibraryName("pg_cron2") == "pg_cron2");
  CHECK(LibraryName("uuid-ossp") == "uuid-ossp");
  CHECK(LibraryName("a.sound") == "a.sound");
  CHECK(LibraryName("") == "");
  CHECK(CanonicalPath("./pg_cron/") == "pg_cron");
  CHECK(CanonicalPath("$libdir//x/../pg_cron") == "$libdir/pg_cron");
}
