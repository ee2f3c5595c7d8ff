#include "velafs/os/scope.h"

#include <doctest/doctest.h>

namespace velafs::os {
namespace {

TEST_CASE("a process in a service's control group ends with that service") {
  CHECK(ServiceIn("0::/system.slice/gitlab-runner.service\n") == "gitlab-runner.service");
  CHECK(ServiceIn("0::/user.slice/user-1000.slice/user@1000.service/app.slice/ci.service\n") ==
        "ci.service");
  CHECK(ServiceIn("5:cpu:/a.service\n1:name=systemd:/system.slice/cron.service\n0::/\n") ==
        "cron.service");
}

TEST_CASE("a process of a login, a desktop, a container or a scope is in no service") {
  for (const char* cgroup :
       {"0::/user.slice/user-1000.slice/session-3.scope\n", "0::/\n", "",
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-shell-1.scope\n",
        "0::/user.slice/user-1000.slice/user@1000.service\n",
        "12:cpu:/system.slice/cron.service\n0::/system.slice/velafs-daemon-7.scope\n"}) {
    CHECK_MESSAGE(ServiceIn(cgroup).empty(), cgroup);
  }
}

TEST_CASE("who can have no scope is told so") {
  if (CanHaveScope()) return;  // here it would be made
  const Status refused = EnterScope({.name = "velafs-test", .description = "test"});
  CHECK(refused.message() == "cannot get the scope \"velafs-test\": no systemd of this user runs");
  CHECK_FALSE(HasSystemUnit("no-such-unit-of-velafs.service"));
}

}  // namespace
}  // namespace velafs::os
