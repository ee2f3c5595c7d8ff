#include "pgctl-wrapper/connect/own_session.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

TEST_CASE(
    "a session of velapg's own obeys neither the caller's wishes nor the cluster's settings") {
  const Environment environment =
      ForOwnSession({{"PGOPTIONS", "-c statement_timeout=1"}, {"PGREQUIREAUTH", "password"}},
                    {"/srv/store/run/7", 54321, "postgres", "postgres"},
                    /*version=*/15);
  CHECK_FALSE(environment.contains("PGREQUIREAUTH"));
  CHECK(environment.at("PGHOST") == "/srv/store/run/7");
  const std::string options = " " + environment.at("PGOPTIONS") + " ";
  for (const char* setting :
       {"statement_timeout=0", "lock_timeout=0", "idle_session_timeout=0",
        "idle_in_transaction_session_timeout=0",
        "search_path=", "default_transaction_read_only=off", "row_security=off", "role=none"}) {
    CHECK_MESSAGE(options.find(std::string(" -c ") + setting + " ") != std::string::npos, setting);
  }
}

TEST_CASE("a server is told only of the settings that its version knows") {
  const auto knows = [](int version, const char* setting) {
    return OwnSessionOptions(version).find(setting) != std::string::npos;
  };
  CHECK_FALSE(knows(13, "idle_session_timeout"));
  CHECK(knows(14, "idle_session_timeout"));
  CHECK_FALSE(knows(16, "transaction_timeout"));
  CHECK(knows(17, "transaction_timeout"));
}
