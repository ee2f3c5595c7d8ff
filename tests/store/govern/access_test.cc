#include "velafs/store/govern/access.h"

#include <grp.h>

#include "tests/store/branches_fixture.h"
#include "velafs/base/server_place.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/mounted_store.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/upkeep_verbs.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

// A group there is, and somebody who is in that one alone.
struct Group {
  explicit Group(uint32_t not_this = UINT32_MAX) {
    setgrent();
    for (group* entry = getgrent(); entry != nullptr; entry = getgrent()) {
      if (entry->gr_gid == not_this) continue;
      name = entry->gr_name;
      gid = entry->gr_gid;
      break;
    }
    endgrent();
    REQUIRE_FALSE(name.empty());
  }
  Caller Member() const { return {geteuid() + 4242, "alice", gid, {gid}}; }
  std::string name;
  uint32_t gid = 0;
};

struct AccessFixture : BranchesFixture {
  void Set(const std::string& key, const std::string& value) {
    const auto set =
        store->governance().SetPolicies(catalog::SettingScope::kStore, {}, {{key, value}});
    REQUIRE_MESSAGE(set.ok(), set.status().message());
  }
  Status CloneBy(const Caller& who, const std::string& source, const std::string& name) {
    return store->branches().Clone(who, source, name, {}).status();
  }
  const Group group;
};

TEST_CASE_FIXTURE(AccessFixture, "only root and the user of the process have a role at first") {
  CHECK(RoleOf(store->policies(), {0, "root"}) == Role::kAdmin);
  CHECK(RoleOf(store->policies(), {geteuid(), "me"}) == Role::kAdmin);
  CHECK(RoleOf(store->policies(), group.Member()) == Role::kNone);
  CHECK_FALSE(IsShared(store->policies()));
}

TEST_CASE_FIXTURE(AccessFixture,
                  "members of a group that a policy names have its role, the highest") {
  Set("viewer_group", group.name);
  CHECK(IsShared(store->policies()));
  CHECK(RoleOf(store->policies(), group.Member()) == Role::kViewer);
  const Group other(group.gid);
  CHECK(RoleOf(store->policies(), other.Member()) == Role::kNone);
  Set("admin_group", group.name);
  CHECK(RoleOf(store->policies(), group.Member()) == Role::kAdmin);
}

TEST_CASE_FIXTURE(AccessFixture, "who has no role knows the names of what is his alone") {
  const Caller who = group.Member();
  Clone("main", "hers");
  Clone("main", "shown");
  Clone("main", "other");
  CHECK(store->mounted().NamesShownTo(who)->empty());
  REQUIRE(store->branches().SetOwner(caller, "hers", who.user).ok());
  CHECK(*store->mounted().NamesShownTo(who) == std::vector<std::string>{"hers"});
  CHECK(store->mounted().NamesShownTo({geteuid(), "me"})->size() == 4);
  CHECK(store->mounted().NamesShownTo({0, "root"})->size() == 4);
  Set("viewer_group", group.name);
  CHECK(store->mounted().NamesShownTo(who)->size() == 4);
}

TEST_CASE_FIXTURE(AccessFixture, "a refusal says who may") {
  Set("admin_group", group.name);
  Caller who = kAlice;
  who.role = Role::kViewer;
  CHECK(CheckRole(store->policies(), who, Role::kViewer).ok());
  const Status refused = CheckRole(store->policies(), who, Role::kAdmin);
  CHECK(refused.code() == Code::kRefused);
  test::CheckMessage(refused, "user \"alice\" needs the admin role");
  CHECK(refused.hint().find("group \"" + group.name + "\"") != std::string::npos);
}

TEST_CASE_FIXTURE(AccessFixture, "files are shown as another user's to whom they are to be") {
  const auto clone = [this](const Caller& who, const std::string& name,
                            const std::optional<std::string>& as_user) {
    CloneOptions options;
    options.as_user = as_user;
    return store->branches().Clone(who, "main", name, options).status();
  };
  const auto shown = [&](const Caller& who, const std::string& name,
                         const std::optional<std::string>& as_user) {
    const Status made = clone(who, name, as_user);
    REQUIRE_MESSAGE(made.ok(), made.message());
    Reopen();
    return std::pair(Info(name).shown_as, Info(name).data_owner);
  };
  const auto nobody_else = std::pair(std::optional<std::string>(), std::optional<std::string>());
  CHECK(shown(caller, "plain", {}) == nobody_else);
  const std::string self = UserName(geteuid());
  CHECK(shown(caller, "own", self) == std::pair(std::optional(self), std::optional(self)));
  CHECK(clone(caller, "x", "no such user").code() == Code::kUsage);
  CHECK(clone(kAlice, "x", "1").code() == Code::kRefused);
  if (geteuid() != 0) {
    CHECK(shown(kAlice, "hers", {}) == nobody_else);
    CHECK(clone(caller, "x", "1").code() == Code::kRefused);
    return;
  }
  CHECK(shown(kAlice, "hers", {}) ==
        std::pair(std::optional(std::to_string(kAlice.uid)), std::optional(self)));
  CHECK(shown(kAlice, "raw", "none") == nobody_else);
  CHECK(shown(caller, "given", "1").first == UserName(1));
  // Those of a container, which nobody has here.
  CHECK(shown(caller, "container", "64999").first == "64999");
  CHECK(shown(caller, "alpine", "64999:70").first == "64999");
  CHECK(clone(caller, "x", "64999:no such group").code() == Code::kUsage);
  CHECK(clone(kAlice, "x", std::to_string(kAlice.uid) + ":0").code() == Code::kRefused);
  Clone("given", "child");
  CHECK(Info("child").shown_as == UserName(1));
  REQUIRE(store->bookmarks().Create(caller, "given@then", "").ok());
  Clone("given@then", "grandchild");
  CHECK(Info("grandchild").shown_as == UserName(1));
  const auto clone_of_given = [&](const Caller& who, const std::string& name,
                                  const std::optional<std::string>& as_user) {
    CloneOptions options;
    options.as_user = as_user;
    REQUIRE(store->branches().Clone(who, "given", name, options).ok());
    return Info(name).shown_as;
  };
  CHECK(clone_of_given(kAlice, "alices", {}) == std::to_string(kAlice.uid));
  CHECK(clone_of_given(kAlice, "alices-raw", "none") == UserName(1));
  CHECK_FALSE(clone_of_given(caller, "admins-raw", "none"));
}

TEST_CASE_FIXTURE(AccessFixture, "a user takes what is approved or his") {
  Bookmark("main@good");
  Bookmark("main@bad");
  CHECK(CloneBy(kAlice, "main", "before").ok());
  Set("user_group", group.name);  // with users, the policy is on
  CHECK(CloneBy(kAlice, "main", "a").code() == Code::kRefused);
  CHECK(CloneBy(kAlice, "main@good", "a").code() == Code::kRefused);
  REQUIRE(store->governance().SetApproved("main@good", true).ok());
  CHECK(CloneBy(kAlice, "main@good", "a").ok());
  CHECK(CloneBy(kAlice, "main@bad", "b").code() == Code::kRefused);
  CHECK(CloneBy(kAlice, "main", "b").code() == Code::kRefused);
  CHECK(CloneBy(kAlice, "a", "b").ok());
  SUBCASE("also by resetting and promoting") {
    CHECK(store->replacing().Reset(kAlice, "a", "main@good", {}).ok());
    CHECK(store->replacing().Reset(kAlice, "a", "main", {}).status().code() == Code::kRefused);
    CHECK(store->replacing().Promote(kAlice, "main", "a", false).status().code() == Code::kRefused);
    CHECK(store->replacing().Promote(kAlice, "b", "a", false).ok());
  }
  SUBCASE("all bookmarks of an approved branch are") {
    REQUIRE(store->governance().SetApproved("main", true).ok());
    CHECK(CloneBy(kAlice, "main@bad", "c").ok());
    REQUIRE(store->governance().SetApproved("main", false).ok());
    CHECK(CloneBy(kAlice, "main@bad", "d").code() == Code::kRefused);
  }
  SUBCASE("anything when the policy is off") {
    Set("approved_sources_only", "off");
    CHECK(CloneBy(kAlice, "main@bad", "c").ok());
  }
}

TEST_CASE_FIXTURE(AccessFixture, "what expires is not for the taking by its parent's approval") {
  Set("user_group", group.name);
  Set("on_expire", "bookmark");
  REQUIRE(store->governance().SetApproved("main", true).ok());
  const auto expire = [this](const Caller& who, const std::string& name) {
    REQUIRE(CloneBy(who, "main", name).ok());
    WriteInto(name, who.user);
    Change("UPDATE branches SET expires_at = 1 WHERE name = '" + name + "'");
    const auto expired = store->upkeep().Expire(caller, false);
    REQUIRE(expired.ok());
    REQUIRE(expired->branches.size() == 1);
    return expired->saved;
  };
  const Caller bob{geteuid() + 4444, "bob"};
  CHECK(expire(kAlice, "hers") == std::vector<std::string>());  // main is not hers
  CHECK(Trash() == std::vector<std::string>{"hers"});
  CHECK(expire(caller, "own") == std::vector<std::string>{"main@expired-own"});
  const auto check = [&] {
    CHECK(CloneBy(bob, "main@expired-own", "his").code() == Code::kRefused);
    CloneOptions options;
    options.at = NowNs();
    CHECK(store->branches().Clone(bob, "main", "his", options).status().code() == Code::kNotFound);
  };
  check();
  Reopen();
  check();
  REQUIRE(store->governance().SetApproved("main@expired-own", true).ok());
  CHECK(CloneBy(bob, "main@expired-own", "his").ok());
}

TEST_CASE_FIXTURE(AccessFixture, "an admin rules the branches of others, a user does not") {
  Caller admin{geteuid() + 4343, "carol"};
  CHECK(store->branches().SetNote(admin, "main", "x").status().code() == Code::kRefused);
  CHECK(store->servers().AssignPort(admin, "main", {}).status().code() == Code::kRefused);
  admin.role = Role::kAdmin;
  CHECK(store->branches().SetNote(admin, "main", "x").ok());
  CHECK(CloneBy(admin, "main", "hers").ok());
}

TEST_CASE_FIXTURE(AccessFixture, "a user's bookmarks of a branch have an end") {
  REQUIRE(store->governance().SetApproved("main", true).ok());
  REQUIRE(CloneBy(kAlice, "main", "hers").ok());
  REQUIRE(store->bookmarks().Create(kAlice, "hers@b", "").ok());
  Change(
      "INSERT INTO bookmarks(branch, name, layer, created_at, note, scheduled, root)"
      " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
      " SELECT branch, 'b' || i, layer, created_at, note, 0, root FROM bookmarks, n");
  const Status refused = store->bookmarks().Create(kAlice, "hers@more", "").status();
  CHECK(refused.code() == Code::kRefused);
  test::CheckMessage(refused, "has 1000 bookmarks");
  CHECK(store->bookmarks().Create(caller, "hers@admins", "").ok());
}

TEST_CASE_FIXTURE(AccessFixture, "a user gives no branch away, and who gave his has it no more") {
  const Caller dora{geteuid() + 4545, std::to_string(geteuid() + 4545)};
  REQUIRE(store->governance().SetApproved("main", true).ok());
  REQUIRE(CloneBy(dora, "main", "hers").ok());
  CHECK(store->branches().SetOwner(dora, "hers", dora.user).ok());
  const Status refused = store->branches().SetOwner(dora, "hers", "root").status();
  CHECK(refused.code() == Code::kRefused);
  test::CheckMessage(refused, "only an admin can give a branch to another user");
  CHECK(Info("hers").owner == dora.user);
  if (geteuid() != 0) return;
  REQUIRE(Info("hers").shown_as == dora.user);
  layer::Branch& open = Opened("hers");
  const uint64_t instance = Info("hers").instance;
  WriteInto("hers", "16");
  StartServer("hers", getpid());
  CHECK(store->branches().SetOwner(caller, "hers", UserName(1)).status().code() == Code::kRefused);
  store->server_registry().Release({open.instance(), open.root()}, getpid());
  const std::string run = root + "/run/" + std::to_string(Info("hers").id);
  const std::string outside = PlaceInTmp(test::fs::canonical(root).string(), Info("hers").id);
  test::WriteHostFile(run + "/postgres.log", "hers");
  test::WriteHostFile(outside + "/socket", "hers");
  REQUIRE(store->branches().SetOwner(caller, "hers", Info("hers").owner).ok());
  CHECK(test::fs::exists(run + "/postgres.log"));
  CHECK(test::fs::exists(outside + "/socket"));
  REQUIRE(store->branches().SetOwner(caller, "hers", UserName(1)).ok());
  for (const auto& entry : test::fs::directory_iterator(root + "/run")) {
    CHECK(entry.path().filename() == "lock");
  }
  CHECK_FALSE(test::fs::exists(outside));
  CHECK(Info("hers").owner == UserName(1));
  CHECK(Info("hers").shown_as == UserName(1));
  CHECK(Info("hers").instance != instance);
  CHECK(Opened("hers").shown_as() == std::optional(catalog::FileOwner{1, 1}));
  REQUIRE(store->branches().SetOwner(caller, "hers", "no user of this host").ok());
  CHECK_FALSE(Info("hers").shown_as);
}

TEST_CASE_FIXTURE(AccessFixture, "what a user wrote has no more rights where he puts it") {
  if (geteuid() != 0) return;  // all files are one user's
  const Caller dora{4545, "4545"};
  REQUIRE(store->governance().SetApproved("main", true).ok());
  const auto clone = [&](const std::string& source, const std::string& name, bool as_they_are) {
    CloneOptions options;
    if (as_they_are) options.as_user = "none";
    REQUIRE(store->branches().Clone(dora, source, name, options).ok());
  };
  clone("main", "hers", false);
  clone("main", "plain", true);
  clone("main", "onto", true);
  clone("plain", "saved", false);
  REQUIRE_FALSE(Info("plain").shown_as);

  REQUIRE(store->replacing().Reset(dora, "plain", std::optional<std::string>("hers"), {}).ok());
  CHECK(Info("plain").shown_as == dora.user);
  CHECK(Opened("plain").shown_as() == std::optional(catalog::FileOwner{4545, 0}));
  REQUIRE(store->replacing().Promote(dora, "hers", "onto", false).ok());
  CHECK(Info("onto").shown_as == dora.user);

  // An admin who promotes it has looked at it.
  REQUIRE(store->replacing().Promote(caller, "hers", "main", false).ok());
  CHECK_FALSE(Info("main").shown_as);

  // Nor as a bookmark of a branch that is not shown as his.
  clone("main@before-promote-1", "parent", true);
  clone("parent", "past", false);
  Set("on_expire", "bookmark");
  REQUIRE(store->branches().SetTtl(dora, "past", std::chrono::seconds(1)).ok());
  const auto expired = store->upkeep().Expire(caller, false, NowNs() + 10'000'000'000);
  REQUIRE_MESSAGE(expired.ok(), expired.status().message());
  CHECK(expired->saved.empty());
  CHECK(store->bookmarks().List("parent")->empty());
}

TEST_CASE_FIXTURE(AccessFixture, "who is given a branch gets no more than policies allow him") {
  Clone("main", "given");
  WriteInto("given", std::string(2 * 1024 * 1024, 'w'));
  const auto give = [this] {
    return store->branches().SetOwner(caller, "given", "alice").status();
  };
  Set("max_branches_per_owner", "0");
  CHECK(give().code() == Code::kRefused);
  test::CheckMessage(give(), "\"alice\" owns 0 branches");
  // He who has it already is given nothing.
  CHECK(store->branches().SetOwner(caller, "given", caller.user).ok());
  Set("max_branches_per_owner", "1");
  Set("max_branches", "1");  // there are no more branches afterwards
  Set("quota_per_owner", "1M");
  test::CheckMessage(give(), "with \"given\", \"alice\" would have more than the 1M");
  CHECK(Info("given").owner == caller.user);
  Set("quota_per_owner", "10G");
  const auto given = store->branches().SetOwner(caller, "given", "alice");
  REQUIRE_MESSAGE(given.ok(), given.status().message());
  CHECK(given->former_owner == caller.user);
  CHECK(given->branch.owner == "alice");
}

TEST_CASE_FIXTURE(AccessFixture, "only an admin can make branches for others") {
  REQUIRE(store->governance().SetApproved("main", true).ok());
  CloneOptions options;
  options.owner = "bob";
  CHECK(store->branches().Clone(kAlice, "main", "his", options).status().code() == Code::kRefused);
  options.owner = "alice";
  CHECK(store->branches().Clone(kAlice, "main", "hers", options).ok());
}

}  // namespace
}  // namespace velafs::store
