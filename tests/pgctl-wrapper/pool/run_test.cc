#include "pgctl-wrapper/pool/run.h"

#include <doctest/doctest.h>

#include "velafs/base/name.h"

using namespace velafs;
using namespace velafs::pgctl;

TEST_CASE("a run's clone is named after its source, and each time anew") {
  const std::string name = CloneName("run", "main");
  CHECK(name.starts_with("run-main-"));
  CHECK(CheckName("branch", name).ok());
  CHECK(name != CloneName("run", "main"));
}

TEST_CASE("a run's clone of a bookmark or a longest name has a lawful name") {
  CHECK(CheckName("branch", CloneName("run", "main@before-migration")).ok());
  CHECK(CheckName("branch", CloneName("run", std::string(63, 'x'))).ok());
}
