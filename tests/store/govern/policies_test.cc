#include "velafs/store/govern/policies.h"

#include <grp.h>
#include <unistd.h>

#include "tests/store/branches_fixture.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using catalog::SettingScope;
using test::WriteHostFile;
using Values = std::map<std::string, std::optional<std::string>>;

std::string AnyGroup() {
  setgrent();
  const group* const entry = getgrent();
  REQUIRE(entry != nullptr);
  std::string name = entry->gr_name;
  endgrent();
  return name;
}

struct PoliciesFixture : BranchesFixture {
  Status TrySet(const std::string& place, const std::string& name, const Values& values) {
    const auto where = name.empty() ? std::nullopt : std::optional(name);
    const auto scope = ValueOf(kPolicyScopes, place);
    REQUIRE(scope);
    return store->governance().SetPolicies(*scope, where, values).status();
  }
  void Set(const std::string& place, const std::string& name, const Values& values) {
    const Status set = TrySet(place, name, values);
    REQUIRE_MESSAGE(set.ok(), set.message());
  }
  // "VALUE from PLACE".
  std::string Effective(const std::string& key, const std::string& branch = "") {
    const auto where = branch.empty() ? std::nullopt : std::optional(branch);
    const auto policies = store->governance().ShowPolicies(where);
    REQUIRE(policies.ok());
    for (const PolicyValue& one : *policies) {
      if (one.key != key) continue;
      const std::string_view from = one.from ? NameOf(kPolicyScopes, *one.from) : "default";
      return one.value + " from " + std::string(from);
    }
    return "";
  }
  Status CloneFailure(const std::string& name) {
    const auto clone = store->branches().Clone(caller, "main", name, {});
    REQUIRE_FALSE(clone.ok());
    return clone.status();
  }
};

TEST_CASE_FIXTURE(PoliciesFixture, "the policy nearest to a branch holds, also after a restart") {
  Clone("main", "dev");
  Import("other");
  CHECK(Effective("ttl", "dev") == " from default");
  CHECK(Effective("trash_keep") == "7d from default");
  Set("store", "", {{"ttl", "1d"}});
  Set("source", "dev", {{"ttl", "2d"}});
  Set("branch", "dev", {{"ttl", "3d"}});
  for (int i = 0; i < 2; ++i) {
    CHECK(Effective("ttl") == "1d from store");
    CHECK(Effective("ttl", "other") == "1d from store");
    CHECK(Effective("ttl", "main") == "2d from source");
    CHECK(Effective("ttl", "dev") == "3d from branch");
    Reopen();
  }
  Set("branch", "dev", {{"ttl", std::nullopt}});
  CHECK(Effective("ttl", "dev") == "2d from source");
}

TEST_CASE_FIXTURE(PoliciesFixture, "libraries and networks are policies of any place") {
  CHECK(Effective("network", "main") == "host from default");
  CHECK(Effective("allow_libraries", "main") == " from default");
  Set("source", "main", {{"network", "loopback"}, {"allow_libraries", "pg_cron,$libdir/citus"}});
  CHECK(Effective("network", "main") == "loopback from source");
  CHECK(Effective("allow_libraries", "main") == "pg_cron,$libdir/citus from source");
}

TEST_CASE_FIXTURE(PoliciesFixture, "servers of what comes from a running server are isolated") {
  for (const std::string name :
       {"backup_label", "standby.signal", "recovery.signal", "recovery.conf"}) {
    CAPTURE(name);
    WriteHostFile(data + "/" + name, "x");
    const std::string branch = "of-" + name;
    const ImportResult imported = Import(branch);
    REQUIRE(imported.warnings.size() == 1);
    CHECK(imported.warnings[0].find("\"" + name + "\"") != std::string::npos);
    CHECK(Effective("network", branch) == "isolated from source");
    Clone(branch, branch + "-clone");
    Reopen();
    CHECK(Effective("network", branch + "-clone") == "isolated from source");
    REQUIRE(unlink((data + "/" + name).c_str()) == 0);
  }
  CHECK(Effective("network", "main") == "host from default");
}

TEST_CASE_FIXTURE(PoliciesFixture, "so are those of what was not shut down, by its pg_control") {
  const auto import_with_state = [&](char state, const std::string& branch) {
    std::string control(8192, '\0');
    control[16] = state;
    control[8] = 1;  // a version of the file, though none that is known
    WriteHostFile(data + "/global/pg_control", control);
    return Import(branch).warnings;
  };
  CHECK(import_with_state(1, "shut-down").empty());
  CHECK(Effective("network", "shut-down") == "host from default");
  for (const char state : {'\0', '\2', '\3', '\4', '\5', '\6'}) {
    const std::string branch = "state-" + std::to_string(state);
    CAPTURE(branch);
    const std::vector<std::string> warnings = import_with_state(state, branch);
    REQUIRE(warnings.size() == 1);
    CHECK(warnings[0].find("does not say that it was shut down") != std::string::npos);
    CHECK(Effective("network", branch) == "isolated from source");
  }
}

TEST_CASE_FIXTURE(PoliciesFixture, "a clone is made isolated, by whoever may make it") {
  CloneOptions options;
  options.is_isolated = true;
  const Caller user{geteuid() + 1, "somebody", getegid() + 1};
  REQUIRE(store->branches().Clone(user, "main", "dev", options).ok());
  CHECK(Effective("network", "dev") == "isolated from branch");
  CHECK(Effective("network", "main") == "host from default");
  Reopen();
  CHECK(Effective("network", "dev") == "isolated from branch");
}

TEST_CASE_FIXTURE(PoliciesFixture, "a store that has a network policy decides for imports, too") {
  Set("store", "", {{"network", "host"}});
  WriteHostFile(data + "/backup_label", "x");
  const ImportResult backup = Import("backup");
  REQUIRE(backup.warnings.size() == 1);
  CHECK(backup.warnings[0].find("the store's policy network=host") != std::string::npos);
  CHECK(Effective("network", "backup") == "host from store");
  Set("store", "", {{"network", "loopback"}});
  CHECK(Import("another").warnings.empty());
}

TEST_CASE_FIXTURE(PoliciesFixture, "a policy of a branch goes with it, that of its source stays") {
  Clone("main", "dev");
  Set("branch", "dev", {{"ttl", "3d"}});
  Set("source", "dev", {{"ttl", "2d"}});
  REQUIRE(store->governance().SetApproved("dev", true).ok());
  Delete("dev", /*purge=*/true);
  Clone("main", "dev");
  CHECK(Effective("ttl", "dev") == "2d from source");
  store.reset();
  auto database = sql::Database::Open(root + "/catalog.db", 0);
  REQUIRE(database.ok());
  CHECK(*(*database)->Integer("SELECT count(*) FROM settings") == 1);
}

TEST_CASE_FIXTURE(PoliciesFixture, "what is no policy, or no value of it, is wrong usage") {
  struct Wrong {
    const char* place;
    const char* key;
    const char* value;
    const char* words;
  };
  const Wrong wrong[] = {
      {"store", "tll", "1d", "there is no policy \"tll\""},
      {"store", "approved", "on", "there is no policy"},
      {"store", "max_ttl", "soon", "\"soon\" is not a duration"},
      {"store", "inspect_user", "nobody-of-that-name", "there is no user"},
      {"store", "inspect_user", "root", "PostgreSQL does not run as root"},
      {"branch", "default_user", "", "not the name of a role or a database"},
      {"branch", "default_database",
       "a234567890123456789012345678901234567890123456789012345678901234",
       "not the name of a role or a database"},
      {"store", "max_branches", "many", "\"many\" is not a whole number"},
      {"store", "max_branches", "-1", "is not a whole number"},
      {"store", "quota_per_owner", "0", "a quota of 0 bytes is too small"},
      {"store", "on_expire", "explode", "is not delete, bookmark or keep"},
      {"store", "approved_sources_only", "yes", "is not on or off"},
      {"store", "name_pattern", "(", "not a regular expression"},
      {"store", "user_group", "no-such-group-here", "there is no group"},
      {"branch", "trash_keep", "1d", "applies to a whole store"},
      {"branch", "cpus", "0", "is not a number of processors"},
      {"branch", "cpus", "half", "is not a number of processors"},
      {"branch", "memory", "1M", "is too little for a server"},
      {"branch", "network", "none", "is not isolated, loopback or host"},
      {"branch", "allow_libraries", "", "not a list of libraries"},
      {"branch", "allow_libraries", "pg_cron,,citus", "not a list of libraries"},
      {"branch", "allow_libraries", "pg_cron, citus", "not a list of libraries"},
  };
  for (const Wrong& it : wrong) {
    CAPTURE(it.key);
    CAPTURE(it.value);
    const bool of_store = std::string(it.place) == "store";
    const Status refused =
        TrySet(it.place, of_store ? "" : "main", {{"ttl", "1d"}, {it.key, it.value}});
    CHECK(refused.code() == Code::kUsage);
    test::CheckMessage(refused, it.words);
  }
  CHECK(Effective("ttl", "main") == " from default");
  CHECK(TrySet("branch", "none", {{"ttl", "1d"}}).code() == Code::kNotFound);
}

TEST_CASE_FIXTURE(PoliciesFixture, "a clone lives as long as the policy says, unless told") {
  Set("source", "main", {{"ttl", "2d"}});
  Clone("main", "dev");
  constexpr TimeNs kDay = TimeNs{86400} * 1'000'000'000;
  CHECK(Info("dev").expires_at == Info("dev").created_at + 2 * kDay);
  CloneOptions options;
  options.ttl = std::chrono::hours(24);
  REQUIRE(store->branches().Clone(caller, "main", "short", options).ok());
  CHECK(Info("short").expires_at == Info("short").created_at + kDay);
  CHECK_FALSE(Info("main").expires_at);
}

TEST_CASE_FIXTURE(PoliciesFixture, "names are as the policy wants them, also when they change") {
  Set("store", "", {{"name_pattern", "pr-[0-9]+"}});
  const Status refused = CloneFailure("dev");
  CHECK(refused.code() == Code::kRefused);
  test::CheckMessage(refused, "pr-[0-9]+");
  CHECK(CloneFailure("xpr-1").code() == Code::kRefused);
  Clone("main", "pr-1");
  CHECK(store->branches().Rename(caller, "pr-1", "dev").status().code() == Code::kRefused);
  CHECK(store->branches().Rename(caller, "pr-1", "pr-2").ok());
}

TEST_CASE_FIXTURE(PoliciesFixture, "sources need approval by default once users are let in") {
  CHECK(Effective("approved_sources_only", "main") == "off from default");
  Set("store", "", {{"user_group", AnyGroup()}});
  CHECK(Effective("approved_sources_only", "main") == "on from default");
  Set("source", "main", {{"approved_sources_only", "off"}});
  CHECK(Effective("approved_sources_only", "main") == "off from source");
}

TEST_CASE_FIXTURE(PoliciesFixture, "no lifetime is longer than the policy allows") {
  Set("store", "", {{"max_ttl", "2d"}});
  constexpr TimeNs kDay = TimeNs{86400} * 1'000'000'000;
  Clone("main", "dev");
  CHECK(Info("dev").expires_at == Info("dev").created_at + 2 * kDay);
  CloneOptions options;
  options.ttl = std::chrono::hours(49);
  const Status refused = store->branches().Clone(caller, "main", "long", options).status();
  CHECK(refused.code() == Code::kRefused);
  test::CheckMessage(refused, "policy max_ttl allows at most 2d");
  CHECK(store->branches().SetTtl(caller, "dev", std::chrono::hours(49)).status().code() ==
        Code::kRefused);
  CHECK(store->branches().SetTtl(caller, "dev", std::nullopt).status().code() == Code::kRefused);
  CHECK(store->branches().SetTtl(caller, "dev", std::chrono::hours(48)).ok());
  Set("store", "", {{"ttl", "1d"}});
  Clone("main", "short");
  CHECK(Info("short").expires_at == Info("short").created_at + kDay);
  Set("store", "", {{"ttl", "9d"}});
  Clone("main", "capped");
  CHECK(Info("capped").expires_at == Info("capped").created_at + 2 * kDay);
}

TEST_CASE_FIXTURE(PoliciesFixture,
                  "there are no more branches than the policy of their place allows") {
  Import("other");
  Set("source", "main", {{"max_branches", "2"}});
  Clone("main", "one");
  const Status refused = CloneFailure("two");
  CHECK(refused.code() == Code::kRefused);
  test::CheckMessage(refused, "max_branches allows 2 branches");
  Clone("other", "others");  // another tree
  Set("source", "main", {{"max_branches", std::nullopt}});
  Set("store", "", {{"max_branches", "4"}});
  CHECK(CloneFailure("two").code() == Code::kRefused);
  Delete("others");
  Clone("main", "two");
}

TEST_CASE_FIXTURE(PoliciesFixture, "a plan makes what is set at its places just what it says") {
  Clone("main", "dev");
  Set("store", "", {{"ttl", "3d"}, {"max_branches", "20"}});
  Set("branch", "dev", {{"on_expire", "keep"}});
  REQUIRE(store->governance().SetApproved("main", true).ok());
  const std::vector<PolicyPlan> plans = {
      {SettingScope::kStore, {}, {{"ttl", "5d"}, {"quota", "1G"}}},
      {SettingScope::kSource, "dev", {{"max_ttl", "9d"}}}};
  const auto apply = [&](bool dry_run) {
    const auto changes = store->governance().ApplyPolicies(plans, dry_run);
    REQUIRE_MESSAGE(changes.ok(), changes.status().message());
    std::vector<std::string> words;
    for (const PolicyChange& one : *changes) {
      words.push_back(std::string(NameOf(kPolicyScopes, one.scope)) + " " + one.name.value_or("") +
                      " " + one.key + " " + one.from.value_or("-") + " " + one.to.value_or("-"));
    }
    return words;
  };
  const std::vector<std::string> expected = {"store  max_branches 20 -", "store  quota - 1G",
                                             "store  ttl 3d 5d", "source dev max_ttl - 9d"};
  CHECK(apply(true) == expected);
  CHECK(Effective("ttl", "main") == "3d from store");
  CHECK(apply(false) == expected);
  CHECK(apply(false).empty());
  Reopen();
  CHECK(Effective("ttl", "main") == "5d from store");
  CHECK(Effective("max_branches", "main") == " from default");
  CHECK(Effective("max_ttl", "main") == "9d from source");
  CHECK(Effective("on_expire", "dev") == "keep from branch");  // a place that was not named
}

TEST_CASE_FIXTURE(PoliciesFixture, "a plan with a fault changes nothing") {
  const auto fails = [&](const std::vector<PolicyPlan>& plans, Code code) {
    CHECK(store->governance().ApplyPolicies(plans, false).status().code() == code);
    CHECK(Effective("ttl", "main") == " from default");
  };
  fails({{SettingScope::kStore, {}, {{"ttl", "5d"}}}, {SettingScope::kBranch, "none", {}}},
        Code::kNotFound);
  fails({{SettingScope::kStore, {}, {{"ttl", "5d"}}},
         {SettingScope::kBranch, "main", {{"quota", "big"}}}},
        Code::kUsage);
  fails({{SettingScope::kStore, {}, {{"ttl", "5d"}}},
         {SettingScope::kSource, "main", {{"trash_keep", "1d"}}}},
        Code::kUsage);
  fails({{SettingScope::kStore, {}, {{"ttl", "5d"}}}, {SettingScope::kStore, {}, {}}},
        Code::kUsage);
}

TEST_CASE_FIXTURE(PoliciesFixture, "an owner has no more branches than the policy allows") {
  Set("store", "", {{"max_branches_per_owner", "2"}});
  Clone("main", "one");
  const Status refused = CloneFailure("two");
  CHECK(refused.code() == Code::kRefused);
  test::CheckMessage(refused, "owns 2 branches");
  CloneOptions options;
  options.owner = "alice";
  CHECK(store->branches().Clone(caller, "main", "hers", options).ok());
  Delete("one");
  Clone("main", "two");
  CHECK(store->trash().Undelete(caller, "one", {}).status().code() == Code::kRefused);
}

TEST_CASE_FIXTURE(PoliciesFixture, "what is to be kept does not expire") {
  CloneOptions options;
  options.ttl = std::chrono::hours(1);
  REQUIRE(store->branches().Clone(caller, "main", "dev", options).ok());
  Set("branch", "dev", {{"on_expire", "keep"}});
  Change("UPDATE branches SET expires_at = 1 WHERE name = 'dev'");
  auto expired = store->upkeep().Expire(caller, false);
  REQUIRE(expired.ok());
  CHECK(expired->branches.empty());
  REQUIRE(expired->kept.size() == 1);
  CHECK(expired->kept[0].name == "dev");
  Set("branch", "dev", {{"on_expire", std::nullopt}});
  CHECK(store->upkeep().Expire(caller, false)->branches.size() == 1);
}

}  // namespace
}  // namespace velafs::store
