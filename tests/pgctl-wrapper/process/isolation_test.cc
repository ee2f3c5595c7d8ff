#include "pgctl-wrapper/process/isolation.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace velafs::pgctl;

namespace {

bool Shows(const Isolation& plan, const std::string& dir) {
  return std::find(plan.shown_dirs.begin(), plan.shown_dirs.end(), dir) != plan.shown_dirs.end();
}

}  // namespace

TEST_CASE("shown is what programs need and what is the branch's own, and no directory of others") {
  const Isolation plan = PlanIsolation("/store/run/1", {"/store/mnt/one", "/store/run/1"});
  CHECK(plan.stage_dir == "/store/run/1");
  for (const char* dir : {"/usr", "/etc", "/proc", "/dev", "/store/mnt/one", "/store/run/1"}) {
    CAPTURE(dir);
    CHECK(Shows(plan, dir));
  }
  for (const char* dir : {"/", "/run", "/tmp", "/var", "/srv", "/home", "/root", "/store"}) {
    CAPTURE(dir);
    CHECK_FALSE(Shows(plan, dir));
  }
}

TEST_CASE("a directory inside one that is shown is not shown twice") {
  const Isolation plan = PlanIsolation("/r/1", {"/usr/lib/postgresql/15", "/r/1", "/r/1", "/r/10"});
  CHECK_FALSE(Shows(plan, "/usr/lib/postgresql/15"));
  CHECK(std::count(plan.shown_dirs.begin(), plan.shown_dirs.end(), "/r/1") == 1);
  CHECK(Shows(plan, "/r/10"));  // its name only begins like the other one's
}
