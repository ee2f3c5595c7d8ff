#include "pgctl-wrapper/server/server_group.h"

#include <doctest/doctest.h>

using namespace velafs;
using namespace velafs::pgctl;

TEST_CASE("servers run in units of their own on purpose") {
  for (const char* unit :
       {"velapg@pr-1.service", "velapg-ci@pr-1.service", "postgresql@15-pr-1.service"}) {
    CHECK(IsServersUnit(unit));
  }
  for (const char* unit :
       {"gitlab-runner.service", "velapg-pr-1-4711.scope", "velafs.service", ""}) {
    CHECK_FALSE(IsServersUnit(unit));
  }
}
