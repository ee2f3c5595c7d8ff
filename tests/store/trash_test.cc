// The trash, protection and expiry.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "tests/store/branches_fixture.h"
#include "tests/store/hooked_storage.h"
#include "velafs/base/server_place.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;
using std::chrono::hours;
using std::chrono::seconds;

struct TrashFixture : BranchesFixture {
  // As if the branch's, or bookmark's, time had come an hour ago.
  void SetInThePast(const std::string& table, const std::string& column, const std::string& name) {
    const std::string then = std::to_string(NowNs() - TimeNs{3600} * 1'000'000'000);
    Change("UPDATE " + table + " SET " + column + " = " + then + " WHERE name = '" + name + "'");
  }
  std::vector<std::string> ExpiredNames(bool dry_run = false) {
    const auto expired = store->upkeep().Expire(caller, dry_run);
    REQUIRE_MESSAGE(expired.ok(), expired.status().message());
    std::vector<std::string> names = expired->bookmarks;
    for (const BranchInfo& branch : expired->branches) names.push_back(branch.name);
    return names;
  }
};

TEST_CASE_FIXTURE(TrashFixture, "branches that are deleted together share syncs of the catalog") {
  constexpr size_t kBranches = 100;
  std::vector<std::string> names;
  for (size_t i = 0; i < kBranches; ++i)
    Clone("main", names.emplace_back("dev" + std::to_string(i)));
  Clone("main", names.emplace_back("protected"));
  REQUIRE(store->branches().Protect(caller, "protected", std::nullopt).ok());
  names.emplace_back("missing");
  std::atomic<int> syncs = 0;
  HookedStorage storage([&syncs](const std::string& path) -> Status {
    if (path.ends_with("catalog.db-wal")) ++syncs;
    return {};
  });
  for (const bool purge : {false, true}) {
    Reopen(storage);
    syncs = 0;
    const auto outcomes = store->trash().DeleteAll(caller, names, {.purge = purge});
    CHECK(syncs <= 4);
    REQUIRE(outcomes.size() == names.size());
    for (size_t i = 0; i < kBranches; ++i) {
      REQUIRE_MESSAGE(outcomes[i].ok(), outcomes[i].status().message());
      CHECK(outcomes[i]->name == names[i]);
    }
    CHECK(outcomes[kBranches].status().code() == Code::kRefused);
    CHECK(outcomes[kBranches + 1].status().code() == Code::kNotFound);
    Reopen();  // without a clean end
    CHECK(Names() == std::vector<std::string>{"main", "protected"});
    CHECK(Trash().size() == (purge ? 0 : kBranches));
    if (purge) continue;
    for (size_t i = 0; i < kBranches; ++i) {
      REQUIRE(store->trash().Undelete(caller, names[i], std::nullopt).ok());
    }
  }
}

TEST_CASE_FIXTURE(TrashFixture, "a directory that cannot be removed stops no other delete") {
  const std::vector<std::string> names = {"dev1", "dev2", "dev3"};
  for (const std::string& name : names) Clone("main", name);
  class FirstTreeStays : public HookedStorage {
   public:
    FirstTreeStays() : HookedStorage([](const std::string&) { return Status(); }) {}
    Status RemoveTree(const std::string& path) override {
      if (path.find("/layers/") == path.npos || has_failed.exchange(true)) {
        return HookedStorage::RemoveTree(path);
      }
      return Errno(EIO);
    }
    std::atomic<bool> has_failed = false;
  } storage;
  Reopen(storage);
  for (const std::string& name : names) WriteInto(name, name);
  for (const auto& outcome : store->trash().DeleteAll(caller, names, {.purge = true})) {
    CHECK_MESSAGE(outcome.ok(), outcome.status().message());
  }
  CHECK(storage.has_failed);
  const size_t with_one_left = LayersOnDisk();
  Reopen();
  CHECK(LayersOnDisk() == with_one_left - 1);
}

TEST_CASE_FIXTURE(TrashFixture, "a deleted branch comes back as it was, bookmarks too") {
  Clone("main", "dev");
  WriteInto("dev", "16\n");
  Bookmark("dev@a");
  WriteInto("dev", "17\n");
  Clone("dev", "child");
  WriteInto("dev", "18\n");
  const auto port = store->servers().AssignPort(caller, "dev", {});
  REQUIRE(port.ok());
  const Tree tree = BranchTree("dev");
  const BranchInfo before = Info("dev");
  Delete("dev");
  CHECK(Names() == std::vector<std::string>{"child", "main"});
  CHECK(Trash() == std::vector<std::string>{"dev"});
  CHECK(Info("child").parent == "dev");
  CHECK(store->bookmarks().List({})->empty());
  CHECK(store->usage().Stats()->trashed == 1);
  CHECK((*store->trash().List())[0].state == BranchState::kDeleted);
  CHECK((*store->trash().List())[0].own_bytes > 0);
  CHECK_FALSE(store->volume().Open("dev").ok());
  Reopen();  // without a clean end

  const auto back = store->trash().Undelete(caller, "dev", {});
  REQUIRE_MESSAGE(back.ok(), back.status().message());
  CHECK(back->id == before.id);
  CHECK(back->port == *port);
  CHECK(back->logical_bytes == before.logical_bytes);
  CHECK_FALSE(back->deleted_at);
  CHECK(BranchTree("dev") == tree);
  CHECK(store->bookmarks().List("dev")->size() == 1);
  CHECK(Trash().empty());
  Reopen();
  CHECK(BranchTree("dev") == tree);
}

TEST_CASE_FIXTURE(TrashFixture, "the name and port of a deleted branch are free for others") {
  Clone("main", "dev");
  const auto port = store->servers().AssignPort(caller, "dev", {});
  REQUIRE(port.ok());
  Delete("dev");
  Clone("main", "dev");
  REQUIRE(store->servers().AssignPort(caller, "dev", *port).ok());
  const Status taken = store->trash().Undelete(caller, "dev", {}).status();
  CHECK(taken.code() == Code::kExists);
  CHECK(taken.hint() == "bring it back under another name: --as NEW");
  const auto back = store->trash().Undelete(caller, "dev", "older");
  REQUIRE_MESSAGE(back.ok(), back.status().message());
  CHECK_FALSE(back->port);
  CHECK(Info("dev").port == *port);
  CHECK(store->trash().Undelete(caller, "dev", {}).status().code() == Code::kNotFound);
}

TEST_CASE_FIXTURE(TrashFixture, "a new branch is not given the port of one in the trash") {
  Clone("main", "dev");
  const auto port = store->servers().AssignPort(caller, "dev", {});
  REQUIRE(port.ok());
  Delete("dev");
  Clone("main", "other");
  CHECK(*store->servers().AssignPort(caller, "other", {}) != *port);
  CHECK(store->trash().Undelete(caller, "dev", {})->port == *port);
}

TEST_CASE_FIXTURE(TrashFixture, "of several deleted under one name the latest comes back first") {
  for (const char* text : {"16\n", "17\n"}) {
    Clone("main", "dev");
    WriteInto("dev", text);
    Delete("dev");
  }
  REQUIRE(store->trash().Undelete(caller, "dev", "second").ok());
  REQUIRE(store->trash().Undelete(caller, "dev", "first").ok());
  CHECK(Info("first").id < Info("second").id);
  CHECK(BranchTree("first") != BranchTree("second"));
}

TEST_CASE_FIXTURE(TrashFixture,
                  "emptying the trash frees what nothing else needs, and says how much") {
  Clone("main", "dev");
  WriteInto("dev", "16\n");
  Bookmark("dev@a");
  WriteInto("dev", "17\n");
  const Tree kept = BranchTree("dev");
  Clone("dev", "child");
  WriteInto("dev", "18\n");
  REQUIRE(store->replacing().Reset(caller, "dev", "main", {.keep_state = false}).ok());
  WriteInto("dev", "19\n");
  Delete("dev");
  const auto would = store->trash().Purge(caller, {}, true);
  REQUIRE(would.ok());
  CHECK(would->branches.size() == 1);
  CHECK(would->freed_bytes >= kPageBytes);
  CHECK(Trash().size() == 1);
  CHECK(store->trash().Purge(caller, hours(1), false)->branches.empty());
  CHECK(store->trash().Purge(kAlice, {}, false)->branches.empty());
  const size_t before = LayersOnDisk();

  const auto purged = store->trash().Purge(caller, {}, false);
  REQUIRE(purged.ok());
  CHECK(purged->freed_bytes >= kPageBytes);
  CHECK(Trash().empty());
  CHECK(LayersOnDisk() < before);
  CHECK(BranchTree("child") == kept);
  CHECK(Info("child").parent == "dev");
  CHECK(store->trash().Undelete(caller, "dev", {}).status().code() == Code::kNotFound);
  Delete("child", /*purge=*/true);
  CHECK(LayersOnDisk() == 0);
}

TEST_CASE_FIXTURE(TrashFixture, "a purged branch takes the layers of its bookmarks along") {
  Clone("main", "dev");
  WriteInto("dev", "16\n");
  Bookmark("dev@a");
  REQUIRE(store->replacing().Reset(caller, "dev", {}, {.keep_state = false}).ok());
  WriteInto("dev", "17\n");
  CHECK((*store->bookmarks().List("dev"))[0].own_bytes > 0);
  CHECK(LayersOnDisk() == 2);
  Delete("dev", /*purge=*/true);
  CHECK(Trash().empty());
  CHECK(LayersOnDisk() == 0);
}

TEST_CASE_FIXTURE(TrashFixture, "a deleted bookmark that nothing stands on gives its space back") {
  Clone("main", "dev");
  WriteInto("dev", "16\n");
  Bookmark("dev@a");
  REQUIRE(store->replacing().Reset(caller, "dev", {}, {.keep_state = false}).ok());
  CHECK(LayersOnDisk() == 1);
  REQUIRE(store->bookmarks().Delete(caller, "dev@a").ok());
  CHECK(LayersOnDisk() == 0);
}

TEST_CASE_FIXTURE(TrashFixture,
                  "a dry run of delete is refused as delete would be, and deletes nothing") {
  Clone("main", "dev");
  const DeleteOptions dry_run{.force = false, .purge = false, .dry_run = true};
  CHECK(store->trash().Delete(caller, "dev", dry_run).ok());
  CHECK(Names().size() == 2);
  CHECK(store->trash().Delete(kAlice, "dev", dry_run).status().code() == Code::kRefused);
  REQUIRE(store->branches().Protect(caller, "dev", {}).ok());
  CHECK(store->trash().Delete(caller, "dev", dry_run).status().code() == Code::kRefused);
}

TEST_CASE_FIXTURE(TrashFixture, "protection lasts as long as it was asked for") {
  Clone("main", "dev");
  const auto until = store->branches().Protect(caller, "dev", hours(7 * 24));
  REQUIRE(until.ok());
  CHECK(until->is_protected);
  REQUIRE(until->protected_until);
  CHECK(*until->protected_until > NowNs());
  CHECK(store->trash().Delete(caller, "dev", {}).status().code() == Code::kRefused);
  SetInThePast("branches", "protected_until", "dev");
  CHECK_FALSE(Info("dev").is_protected);
  CHECK(store->trash().Delete(caller, "dev", {}).ok());
}

TEST_CASE_FIXTURE(TrashFixture, "what has expired goes, unless it is protected or another's") {
  CloneOptions options;
  options.ttl = hours(1);
  for (const char* name : {"gone", "guarded"}) {
    REQUIRE(store->branches().Clone(caller, "main", name, options).ok());
  }
  Clone("main", "stays");
  REQUIRE(store->branches().Protect(caller, "guarded", {}).ok());
  CHECK(ExpiredNames().empty());
  SetInThePast("branches", "expires_at", "gone");
  SetInThePast("branches", "expires_at", "guarded");
  CHECK(store->upkeep().Expire(kAlice, false)->branches.empty());
  CHECK(ExpiredNames(/*dry_run=*/true) == std::vector<std::string>{"gone"});
  CHECK(Names().size() == 4);

  const auto expired = store->upkeep().Expire(caller, false);
  REQUIRE(expired.ok());
  REQUIRE(expired->branches.size() == 1);
  CHECK(expired->branches[0].name == "gone");
  REQUIRE(expired->kept.size() == 1);
  CHECK(expired->kept[0].name == "guarded");
  CHECK(expired->kept[0].why == "branch \"guarded\" is protected");
  CHECK(Trash() == std::vector<std::string>{"gone"});

  // It would be gone again at once.
  CHECK_FALSE(store->trash().Undelete(caller, "gone", {})->expires_at);
  CHECK(ExpiredNames().empty());
}

TEST_CASE_FIXTURE(TrashFixture, "a time to live is given and taken") {
  Clone("main", "dev");
  const TimeNs before = NowNs();
  const auto later = store->branches().SetTtl(caller, "dev", hours(2));
  REQUIRE(later.ok());
  CHECK(*later->expires_at >= before + TimeNs{7200} * 1'000'000'000);
  CHECK_FALSE(store->branches().SetTtl(caller, "dev", {})->expires_at);
  CHECK(store->branches().SetTtl(caller, "dev", seconds(0)).status().code() == Code::kUsage);
}

TEST_CASE_FIXTURE(TrashFixture, "a bookmark that was to be kept for a while expires") {
  REQUIRE(store->bookmarks().Create(caller, "main@short", "", hours(1)).ok());
  Bookmark("main@long");
  CHECK((*store->bookmarks().List("main"))[0].expires_at);
  CHECK(ExpiredNames().empty());
  SetInThePast("bookmarks", "expires_at", "short");
  CHECK(ExpiredNames(/*dry_run=*/true) == std::vector<std::string>{"main@short"});
  CHECK(ExpiredNames() == std::vector<std::string>{"main@short"});
  CHECK(store->bookmarks().List("main")->size() == 1);
}

TEST_CASE_FIXTURE(TrashFixture, "upkeep deletes what has expired, and empties the trash in time") {
  CloneOptions options;
  options.ttl = hours(1);
  REQUIRE(store->branches().Clone(caller, "main", "dev", options).ok());
  SetInThePast("branches", "expires_at", "dev");
  Clone("main", "old");
  Clone("main", "new");
  Delete("old");
  Delete("new");
  Change("UPDATE branches SET deleted_at = 1 WHERE name = 'old'");
  {
    const Upkeep upkeep(*store, caller);
    const auto deadline = std::chrono::steady_clock::now() + seconds(60);
    while (Trash() != std::vector<std::string>{"dev", "new"}) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  CHECK(Names() == std::vector<std::string>{"main"});
  const auto entries = store->audit_log().List({});
  REQUIRE(entries.ok());
  REQUIRE(entries->size() == 2);
  CHECK((*entries)[0].verb == "expire");
  CHECK((*entries)[0].subjects == "dev");
  CHECK((*entries)[0].user == caller.user);
  CHECK((*entries)[1].verb == "trash-purge");
  CHECK((*entries)[1].subjects == "old");
}

TEST_CASE_FIXTURE(TrashFixture, "a delete is done whatever its users have put into run/") {
  Clone("main", "dev");
  const std::string run = root + "/run/" + std::to_string(Info("dev").id);
  test::WriteHostFile(run + "/a/f", "x");
  // What cannot be removed: a mount would be in the way likewise.
  class NoRemoval : public HookedStorage {
   public:
    NoRemoval() : HookedStorage([](const std::string&) { return Status(); }) {}
    Status RemoveTree(const std::string& path) override {
      return SystemError(EBUSY, "cannot remove \"" + path + "\"");
    }
  } no_removal;
  Reopen(no_removal);
  CHECK(store->trash().Delete(caller, "dev", {}).ok());
  CHECK_FALSE(fs::exists(run));
  Reopen();
  Clone("main", "other");
  CHECK(store->trash().Delete(caller, "other", {}).ok());
  for (const auto& entry : fs::directory_iterator(root + "/run")) {
    CHECK_FALSE(entry.path().filename().string().starts_with(".gone-"));
  }
}

TEST_CASE_FIXTURE(TrashFixture, "with a branch goes its server's place outside the store") {
  Clone("main", "dev");
  Clone("main", "other");
  const std::string real = fs::canonical(root).string();
  const std::string place = PlaceInTmp(real, Info("dev").id);
  const std::string others = PlaceInTmp(real, Info("other").id);
  test::WriteHostFile(place + "/a/f", "x");
  test::WriteHostFile(others + "/f", "x");
  fs::create_symlink(others, place + "/link");
  CHECK(store->trash().Delete(caller, "dev", {}).ok());
  CHECK_FALSE(fs::exists(place));
  CHECK(fs::exists(others + "/f"));
  SetInThePast("branches", "expires_at", "other");
  CHECK(ExpiredNames() == std::vector<std::string>{"other"});
  CHECK_FALSE(fs::exists(others));
}

TEST_CASE_FIXTURE(TrashFixture, "labels, note and owner are changed by those who may") {
  Clone("main", "dev");
  REQUIRE(store->branches().ChangeLabels(caller, "dev", {{"a", "1"}, {"b", "2"}}, {}).ok());
  const auto labels = store->branches().ChangeLabels(caller, "dev", {{"b", "3"}}, {"a"});
  REQUIRE(labels.ok());
  CHECK(labels->labels == std::map<std::string, std::string>{{"b", "3"}});
  CHECK(store->branches().ChangeLabels(caller, "dev", {}, {"a"}).status().code() ==
        Code::kNotFound);
  CHECK(store->branches().ChangeLabels(caller, "dev", {{"x-", ""}}, {}).status().code() ==
        Code::kUsage);
  CHECK(store->branches().SetNote(caller, "dev", "a note")->note == "a note");
  CHECK(store->branches().SetNote(kAlice, "dev", "hers").status().code() == Code::kRefused);
  CHECK(store->branches().SetOwner(caller, "dev", "").status().code() == Code::kUsage);
  CHECK(store->branches().SetOwner(caller, "dev", "alice")->branch.owner == "alice");
  CHECK(store->branches().SetNote(kAlice, "dev", "hers")->note == "hers");
  Reopen();
  CHECK(Info("dev").note == "hers");
}

TEST_CASE_FIXTURE(TrashFixture, "a user sets and removes a pool's labels on branches of his own") {
  CloneOptions options;
  options.labels = {{"pool", "ci"}, {"pool-state", "ready"}};
  CHECK(store->branches().Clone(kAlice, "main", "hers", options).ok());
  CHECK(store->branches().ChangeLabels(kAlice, "hers", {{"pool", "x"}}, {"pool-state"}).ok());
  CHECK(Info("hers").labels == std::map<std::string, std::string>{{"pool", "x"}});
  CHECK(store->branches().ChangeLabels(kAlice, "main", {{"pool", "x"}}, {}).status().code() ==
        Code::kRefused);
}

TEST_CASE_FIXTURE(TrashFixture, "the label of a pool is a name of one") {
  REQUIRE(store->branches().Clone(caller, "main", "hers", {}).ok());
  for (const char* name : {"$(id)", "a b", "", "-x"}) {
    CAPTURE(name);
    CHECK(store->branches().ChangeLabels(caller, "hers", {{"pool", name}}, {}).status().code() ==
          Code::kUsage);
  }
  CHECK(
      store->branches().ChangeLabels(caller, "hers", {{"pool", "ci"}, {"team", "$(id)"}}, {}).ok());
}

TEST_CASE_FIXTURE(TrashFixture, "a branch has so many labels and no more") {
  std::map<std::string, std::string> labels;
  for (int i = 0; i < 64; ++i) labels["k" + std::to_string(i)] = "v";
  Clone("main", "dev");
  REQUIRE(store->branches().ChangeLabels(caller, "dev", labels, {}).ok());
  CHECK(store->branches().ChangeLabels(caller, "dev", {{"k0", "other"}}, {}).ok());
  const Status refused =
      store->branches().ChangeLabels(caller, "dev", {{"one-more", ""}}, {}).status();
  CHECK(refused.code() == Code::kUsage);
  test::CheckMessage(refused, "at most 64 labels");
  CloneOptions options;
  options.labels = labels;
  options.labels["one-more"] = "";
  CHECK(store->branches().Clone(caller, "main", "other", options).status().code() == Code::kUsage);
  options.labels.clear();
  for (int i = 0; i < 17; ++i) options.labels["k" + std::to_string(i)] = std::string(1000, 'x');
  test::CheckMessage(store->branches().Clone(caller, "main", "other", options).status(),
                     "16384 bytes");
  CHECK(Info("dev").labels.size() == 64);
}

TEST_CASE_FIXTURE(TrashFixture, "what others delete under a name keeps nobody's from coming back") {
  const auto make_and_delete = [this](const Caller& who) {
    REQUIRE(store->branches().Clone(who, "main", "dev", {}).ok());
    REQUIRE(store->trash().Delete(who, "dev", {}).ok());
  };
  make_and_delete(kAlice);
  make_and_delete({geteuid() + 4444, "bob"});
  CHECK(store->trash().Undelete(kAlice, "dev", {})->owner == "alice");
  CHECK(store->trash().Undelete(kAlice, "dev", "his").status().code() == Code::kRefused);
}

TEST_CASE_FIXTURE(TrashFixture, "a list is of those asked for") {
  CloneOptions options;
  options.owner = "alice";
  options.labels = {{"team", "db"}, {"pr", "1"}};
  REQUIRE(store->branches().Clone(caller, "main", "dev", options).ok());
  const auto names = [this](const ListFilter& filter) {
    std::vector<std::string> found;
    const auto list = store->branches().List(filter);
    REQUIRE(list.ok());
    for (const BranchInfo& branch : *list) found.push_back(branch.name);
    return found;
  };
  using Found = std::vector<std::string>;
  CHECK(names({}) == Found{"dev", "main"});
  CHECK(names({.owner = "alice", .labels = {}, .state = {}}) == Found{"dev"});
  CHECK(names({.owner = {}, .labels = {{"team", "db"}}, .state = {}}) == Found{"dev"});
  CHECK(names({.owner = {}, .labels = {{"team", "db"}, {"pr", "2"}}, .state = {}}).empty());
  CHECK(names({.owner = {}, .labels = {}, .state = BranchState::kRunning}).empty());
  CHECK(names({.owner = {}, .labels = {}, .state = BranchState::kReady}) == Found{"dev", "main"});
}

TEST_CASE_FIXTURE(TrashFixture, "a clone of a time is of the newest bookmark from then or before") {
  Bookmark("main@a");
  WriteInto("main", "16\n");
  Bookmark("main@b");
  const TimeNs second = 1'000'000'000;
  Change("UPDATE bookmarks SET created_at = 100000000005 WHERE name = 'a'");
  Change("UPDATE bookmarks SET created_at = 200000000007 WHERE name = 'b'");
  const auto clone = [this](const std::string& name, TimeNs at) {
    CloneOptions options;
    options.at = at;
    return store->branches().Clone(caller, "main", name, options);
  };
  CHECK(clone("one", 150 * second)->parent_bookmark == "main@a");
  CHECK(clone("two", 200 * second)->parent_bookmark == "main@b");  // of that second
  CHECK(clone("three", 199 * second)->parent_bookmark == "main@a");
  const Status none = clone("four", 99 * second).status();
  CHECK(none.code() == Code::kNotFound);
  CHECK(none.message() ==
        "cannot clone \"main\" to \"four\": there is no bookmark of \"main\" from"
        " 1970-01-01T00:01:39Z or before");
  CHECK(none.hint() == "the oldest is main@a, made at 1970-01-01T00:01:40Z");
  CloneOptions options;
  options.at = 1;
  CHECK(store->branches().Clone(caller, "main@a", "five", options).status().code() == Code::kUsage);
}

}  // namespace
}  // namespace velafs::store
