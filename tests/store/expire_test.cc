// What becomes of a branch whose time has passed while a server runs on it.
#include <csignal>

#include "tests/store/branches_fixture.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using test::WaitingProcess;

struct RunningFixture : BranchesFixture {
  RunningFixture() {
    Clone("main", "dev");
    Change("UPDATE branches SET expires_at = 1 WHERE name = 'dev'");  // opens the store anew
    server = std::make_unique<WaitingProcess>(scratch.path(), geteuid() == 0 ? 65534 : geteuid());
    StartServer("dev", server->pid());
  }
  void Set(const std::string& key, const std::string& value) {
    REQUIRE(store->governance()
                .SetPolicies(catalog::SettingScope::kBranch, "dev", {{key, value}})
                .ok());
  }
  Expired Expire(bool dry_run = false) {
    const auto expired = store->upkeep().Expire(caller, dry_run);
    REQUIRE_MESSAGE(expired.ok(), expired.status().message());
    return *expired;
  }
  bool Runs() { return store->servers().On("dev")->process.has_value(); }

  std::unique_ptr<WaitingProcess> server;
};

TEST_CASE_FIXTURE(RunningFixture,
                  "a server is ended before its branch, whose time has passed, goes") {
  const Expired expired = Expire();
  CHECK(expired.stopped == std::vector<std::string>{"dev"});
  REQUIRE(expired.branches.size() == 1);
  CHECK(expired.branches[0].name == "dev");
  CHECK(expired.kept.empty());
  CHECK(store->servers().CheckNoServers().ok());
  CHECK(store->branches().Show("dev").status().code() == Code::kNotFound);
}

TEST_CASE_FIXTURE(RunningFixture, "a dry run ends no server, and says that the branch would go") {
  const Expired expired = Expire(/*dry_run=*/true);
  CHECK(expired.branches.size() == 1);
  CHECK(expired.stopped.empty());
  CHECK(Runs());
}

TEST_CASE_FIXTURE(RunningFixture, "a server on a branch that is kept is not ended") {
  SUBCASE("since its policy keeps running ones") { Set("expire_running", "keep"); }
  SUBCASE("since its policy keeps all") { Set("on_expire", "keep"); }
  SUBCASE("since it is protected") { REQUIRE(store->branches().Protect(caller, "dev", {}).ok()); }
  SUBCASE("since there is nothing to have the bookmark") {
    Set("on_expire", "bookmark");
    REQUIRE(store->trash().Delete(caller, "main", {}).ok());
  }
  for (const bool dry_run : {true, false}) {
    const Expired expired = Expire(dry_run);
    CHECK(expired.branches.empty());
    CHECK(expired.stopped.empty());
    REQUIRE(expired.kept.size() == 1);
    CHECK(expired.kept[0].name == "dev");
  }
  CHECK(Runs());
}

TEST_CASE_FIXTURE(RunningFixture, "a server on a branch that has time left is not ended") {
  REQUIRE(store->branches().SetTtl(caller, "dev", std::chrono::hours(1)).ok());
  CHECK(Expire().stopped.empty());
  CHECK(Runs());
}

TEST_CASE_FIXTURE(RunningFixture, "the daemon's end ends all servers, and notes which ran") {
  Clone("main", "idle");
  const auto to_start = [this] {
    const auto servers = store->servers().TakeServersToStart();
    REQUIRE(servers.ok());
    return *servers;
  };
  REQUIRE(store->governance()
              .SetPolicies(catalog::SettingScope::kStore, {}, {{"autostart", "last"}})
              .ok());
  CHECK(to_start().surely.empty());
  REQUIRE(store->servers().StopAll(std::chrono::seconds(60)).ok());
  CHECK(store->servers().CheckNoServers().ok());
  Reopen();
  const store::ServersToStart servers = to_start();
  CHECK(servers.surely == std::vector<std::string>{"dev"});
  CHECK(servers.if_marked == std::vector<std::string>{"idle", "main"});
  CHECK(to_start().surely.empty());  // once
  REQUIRE(store->governance()
              .SetPolicies(catalog::SettingScope::kBranch, "idle", {{"autostart", "on"}})
              .ok());
  REQUIRE(store->governance()
              .SetPolicies(catalog::SettingScope::kBranch, "main", {{"autostart", "off"}})
              .ok());
  CHECK(to_start().surely == std::vector<std::string>{"idle"});
  CHECK(to_start().if_marked == std::vector<std::string>{"dev"});
}

TEST_CASE_FIXTURE(BranchesFixture, "a branch that is given away leaves the pool of who gave it") {
  Clone("main", "dev");
  REQUIRE(store->branches()
              .ChangeLabels(caller, "dev", {{"pool", "p"}, {"pool-state", "ready"}, {"a", "b"}}, {})
              .ok());
  REQUIRE(store->branches().SetOwner(caller, "dev", caller.user).ok());
  CHECK(Info("dev").labels.size() == 3);
  REQUIRE(store->branches().SetOwner(caller, "dev", "somebody").ok());
  CHECK(Info("dev").labels == std::map<std::string, std::string>{{"a", "b"}});
}

}  // namespace
}  // namespace velafs::store
