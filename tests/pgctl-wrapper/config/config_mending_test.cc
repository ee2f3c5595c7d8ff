#include "pgctl-wrapper/config/config_mending.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

TEST_CASE("what a server has against its configuration is understood") {
  const std::vector<Complaint> complaints = ParseComplaints(
      "2026-11-29 22:45:45 GMT [1] LOG:  unrecognized configuration parameter \"Foo.bar\" in file "
      "\"/run/1/postgresql.conf\" line 817\n"
      "2026-11-29 22:45:45 GMT [1] LOG:  syntax error in file \"/b/x.conf\" line 3, near token "
      "\"here\"\n"
      "LOG:  invalid value for parameter \"TimeZone\": \"X/Y\"\n"
      "LOG:  9999999 is outside the valid range for parameter \"max_connections\" (1 .. 262143)\n"
      "HINT:  Available values: a, b.\n"
      "FATAL:  configuration file \"/run/1/postgresql.conf\" contains errors\n");
  REQUIRE(complaints.size() == 4);
  CHECK(complaints[0] == Complaint{"unrecognized configuration parameter \"Foo.bar\"", "foo.bar",
                                   "/run/1/postgresql.conf", 817});
  CHECK(complaints[1] == Complaint{"syntax error, near token \"here\"", "", "/b/x.conf", 3});
  CHECK(complaints[2] ==
        Complaint{"invalid value for parameter \"TimeZone\": \"X/Y\"", "timezone", "", 0});
  CHECK(complaints[3].setting == "max_connections");
  CHECK(ParseComplaints("FATAL:  could not map memory\n").empty());
}

TEST_CASE("words of any length are understood") {
  const std::string token(300'000, 'x');
  const std::vector<Complaint> complaints =
      ParseComplaints("LOG:  syntax error in file \"/b/x.conf\" line 3, near token \"" + token +
                      "\"\nLOG:  unrecognized configuration parameter \"" + token +
                      "\" in file \"" + token + "\" line 99999999999999999999999\n" +
                      "LOG:  a in file \"\" line 1 in file \"/b\" line x in file \"/c\" line 2\n");
  REQUIRE(complaints.size() == 3);
  CHECK(complaints[0].words == "syntax error, near token \"" + token + "\"");
  CHECK(complaints[0].line == 3);
  CHECK(complaints[1].setting == token);
  CHECK(complaints[1].file == token);
  CHECK(complaints[2] == Complaint{"a in file \"\" line 1 in file \"/b\" line x", "", "/c", 2});
}

TEST_CASE("what is left out is told with its place and what holds instead") {
  const std::vector<Override> overrides =
      LeftOutOverrides({{"/b/postgresql.conf", 7, "lc_time", "invalid value"},
                        {"/b/postgresql.conf", 8, "timezone", "invalid value"},
                        {"/b/postgresql.conf", 9, "", "syntax error"},
                        {"/b/postgresql.conf", 10, "include_dir", "no such directory"}});
  REQUIRE(overrides.size() == 4);
  CHECK(overrides[0] == Override{"lc_time", "C", "/b/postgresql.conf line 7: invalid value"});
  CHECK(overrides[1].value == "its default");
  CHECK(overrides[2] == Override{"a line of the configuration", "left out",
                                 "/b/postgresql.conf line 9: syntax error"});
  CHECK(overrides[3].setting == "a line of the configuration");
}
