// Servers on many branches at once, and the places of what belongs to their users.
#include <sys/stat.h>

#include "tests/store/branches_fixture.h"
#include "velafs/store/server_verbs.h"

namespace velafs::store {
namespace {

using test::WaitingProcess;

TEST_CASE_FIXTURE(BranchesFixture, "who may not unmount is told which branches have servers") {
  const WaitingProcess one(scratch.path());
  const WaitingProcess other(scratch.path());
  Clone("main", "dev");
  StartServer("dev", one.pid());
  test::CheckMessage(store->servers().CheckNoServers(), "a server runs on \"dev\", process ");
  StartServer("main", other.pid());
  const Status refused = store->servers().CheckNoServers();
  CHECK(refused.code() == Code::kRefused);
  CHECK(refused.message() == "a server runs on \"dev\", on \"main\"");
  CHECK(refused.hint() == "stop them first: velapg stop --all");
}

TEST_CASE_FIXTURE(BranchesFixture, "each user has a place for pools of his own") {
  CHECK(*store->servers().PoolPlace(caller) == root + "/run/pools");
  const Caller user{geteuid() + 4242, "user"};
  const auto place = store->servers().PoolPlace(user);
  if (geteuid() != 0) {
    CHECK(place.status().code() == Code::kRefused);
    return;
  }
  REQUIRE(place.ok());
  CHECK(*place == root + "/run/pools-" + std::to_string(user.uid));
  struct stat info {};
  REQUIRE(stat(place->c_str(), &info) == 0);
  CHECK(info.st_uid == user.uid);
  CHECK((info.st_mode & 0777) == 0700);
  CHECK(*store->servers().PoolPlace(user) == *place);  // again
}

}  // namespace
}  // namespace velafs::store
