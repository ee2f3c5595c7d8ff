// Reset, promote and rename.
#include "tests/store/branches_fixture.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/state_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

TEST_CASE_FIXTURE(BranchesFixture, "a reset branch is what its parent is now, and stays itself") {
  CloneOptions options;
  options.owner = "alice";
  options.labels = {{"pr", "42"}};
  options.note = "mine";
  options.ttl = std::chrono::hours(1);
  REQUIRE(store->branches().Clone(caller, "main", "dev", options).ok());
  const auto port = store->servers().AssignPort(caller, "dev", {});
  REQUIRE(port.ok());
  const BranchInfo before = Info("dev");
  WriteInto("dev", "99\n");
  WriteInto("main", "16\n");

  const auto reset = store->replacing().Reset(kAlice, "dev", {}, {});
  REQUIRE_MESSAGE(reset.ok(), reset.status().message());
  CHECK(reset->source == "main");
  CHECK(BranchTree("dev") == BranchTree("main"));
  const BranchInfo after = Info("dev");
  CHECK(after.id == before.id);
  CHECK(after.port == *port);
  CHECK(after.owner == "alice");
  CHECK(after.labels == before.labels);
  CHECK(after.note == before.note);
  CHECK(after.expires_at == before.expires_at);
  CHECK(after.created_at == before.created_at);
  CHECK(after.parent == "main");
  CHECK(after.logical_bytes == Info("main").logical_bytes);
  CHECK(after.own_bytes == 0);
  Reopen();
  CHECK(BranchTree("dev") == BranchTree("main"));
}

TEST_CASE_FIXTURE(BranchesFixture,
                  "a reset frees what only the old state held, and says how much") {
  Clone("main", "dev");
  WriteInto("dev", "99\n");
  const auto dev = store->volume().Open("dev");
  REQUIRE(dev.ok());
  REQUIRE(store->volume().SyncAll().ok());
  const uint64_t own_bytes = Info("dev").own_bytes;
  CHECK(own_bytes >= kPageBytes);
  const Tree before = BranchTree("dev");

  const ResetOptions keep_nothing{.keep_state = false};
  const auto would = store->replacing().Reset(caller, "dev", {}, {.dry_run = true});
  REQUIRE(would.ok());
  CHECK(would->lost_bytes == own_bytes);
  CHECK(BranchTree("dev") == before);

  const auto reset = store->replacing().Reset(caller, "dev", {}, keep_nothing);
  REQUIRE(reset.ok());
  CHECK(reset->lost_bytes == own_bytes);
  CHECK_FALSE(reset->bookmark.has_value());
  CHECK(LayersOnDisk() == 0);
  CHECK((*dev)->Get((*dev)->root()).status().error_number() == ESTALE);
}

TEST_CASE_FIXTURE(BranchesFixture, "a reset keeps the old state as a bookmark for some time") {
  Clone("main", "dev");
  WriteInto("dev", "17\n");
  const Tree before = BranchTree("dev");
  const auto reset = store->replacing().Reset(caller, "dev", {}, {});
  REQUIRE(reset.ok());
  CHECK(reset->bookmark == "dev@before-reset-1");
  CHECK(BranchTree("dev") == BranchTree("main"));
  const auto bookmarks = store->bookmarks().List("dev");
  REQUIRE(bookmarks.ok());
  REQUIRE(bookmarks->size() == 1);
  CHECK((*bookmarks)[0].note == "before dev was reset to main");
  constexpr TimeNs kWeek = TimeNs{7} * 86400 * 1'000'000'000;  // the default of trash_keep
  CHECK((*bookmarks)[0].expires_at == (*bookmarks)[0].created_at + kWeek);

  REQUIRE(store->replacing().Reset(caller, "dev", "dev@before-reset-1", {}).ok());
  CHECK(BranchTree("dev") == before);
  CHECK(store->replacing().Reset(caller, "dev", {}, {})->bookmark == "dev@before-reset-3");
  REQUIRE(store->upkeep().Expire(caller, false, NowNs() + kWeek + 1'000'000'000).ok());
  CHECK(store->bookmarks().List("dev")->empty());
}

TEST_CASE_FIXTURE(BranchesFixture, "a reset of an ephemeral branch keeps nothing") {
  CloneOptions options;
  options.is_ephemeral = true;
  REQUIRE(store->branches().Clone(caller, "main", "fast", options).ok());
  const auto reset = store->replacing().Reset(caller, "fast", {}, {});
  REQUIRE(reset.ok());
  CHECK_FALSE(reset->bookmark.has_value());
  CHECK(store->bookmarks().List("fast")->empty());
}

TEST_CASE_FIXTURE(BranchesFixture, "a dry run of reset says that a server is in the way") {
  Clone("main", "dev");
  const WaitingProcess server(scratch.path());
  StartServer("dev", server.pid());
  const auto would = store->replacing().Reset(caller, "dev", {}, {.dry_run = true});
  REQUIRE(would.ok());
  CHECK(would->refusal.find("a server runs on \"dev\"") != std::string::npos);
  CHECK(store->replacing().Reset(caller, "dev", {}, {}).status().code() == Code::kRefused);
}

TEST_CASE_FIXTURE(BranchesFixture,
                  "a reset leaves bookmarks and clones of the branch what they are") {
  Clone("main", "dev");
  WriteInto("dev", "17\n");
  const Tree marked = BranchTree("dev");
  Bookmark("dev@seventeen");
  WriteInto("dev", "18\n");
  const Tree cloned = BranchTree("dev");
  Clone("dev", "child");
  WriteInto("dev", "19\n");
  REQUIRE(store->replacing().Reset(caller, "dev", {}, {}).ok());
  CHECK(BranchTree("child") == cloned);
  Clone("dev@seventeen", "old");
  CHECK(BranchTree("old") == marked);

  REQUIRE(store->replacing().Reset(caller, "dev", "dev@seventeen", {}).ok());
  CHECK(BranchTree("dev") == marked);
  CHECK(Info("dev").parent == "main");
  REQUIRE(store->replacing().Reset(caller, "child", {}, {}).ok());
  CHECK(BranchTree("child") == marked);
}

TEST_CASE_FIXTURE(BranchesFixture, "a clone of a bookmark is reset to that bookmark") {
  Bookmark("main@before");
  const Tree before = BranchTree("main");
  Clone("main@before", "dev");
  WriteInto("main", "16\n");
  WriteInto("dev", "17\n");
  const auto reset = store->replacing().Reset(caller, "dev", {}, {});
  REQUIRE(reset.ok());
  CHECK(reset->source == "main@before");
  CHECK(BranchTree("dev") == before);

  // Another bookmark of that name is another bookmark.
  REQUIRE(store->bookmarks().Delete(caller, "main@before").ok());
  Bookmark("main@before");
  const Status gone = store->replacing().Reset(caller, "dev", {}, {}).status();
  CHECK(gone.code() == Code::kNotFound);
  CheckMessage(gone, "bookmark \"main@before\", its parent, is gone");
}

TEST_CASE_FIXTURE(BranchesFixture, "a branch is reset to one of another source") {
  WriteHostFile(data + "/other", "of another source");
  Import("other");
  Clone("main", "dev");
  REQUIRE(store->replacing().Reset(caller, "dev", "other", {}).ok());
  CHECK(BranchTree("dev") == BranchTree("other"));
  REQUIRE(store->replacing().Reset(caller, "dev", {}, {}).ok());
  CHECK(BranchTree("dev") == BranchTree("main"));
}

TEST_CASE_FIXTURE(BranchesFixture,
                  "a bookmark stays what it is when its branch gets another tree") {
  Clone("main", "dev");
  WriteInto("dev", "14\n");
  Bookmark("dev@mine");
  const Tree mine = BranchTree("dev");
  WriteHostFile(data + "/other", "of another source");
  Import("other");
  REQUIRE(store->replacing().Reset(caller, "dev", "other", {}).ok());
  Bookmark("dev@others");
  REQUIRE(store->replacing().Promote(caller, "other", "main", false).ok());
  Reopen();
  Clone("dev@mine", "a");
  CHECK(BranchTree("a") == mine);
  Clone("dev@others", "b");
  CHECK(BranchTree("b") == BranchTree("other"));
  Clone("main@before-promote-1", "c");
  CHECK(BranchTree("c").size() == mine.size());
  const auto same = store->states().Diff("dev@mine", "a");
  REQUIRE_MESSAGE(same.ok(), same.status().message());
  CHECK(same->empty());
  REQUIRE(store->replacing().Reset(caller, "dev", "dev@mine", {}).ok());
  CHECK(BranchTree("dev") == mine);
}

TEST_CASE_FIXTURE(BranchesFixture, "a reset that cannot be done says why") {
  Clone("main", "dev");
  Clone("dev", "child");
  const auto refusal = [this](const Caller& who, const char* name, const char* source = nullptr) {
    const auto reset = store->replacing().Reset(
        who, name, source == nullptr ? std::nullopt : std::optional<std::string>(source),
        ResetOptions{.dry_run = true});
    REQUIRE_FALSE(reset.ok());
    return reset.status();
  };
  CHECK(refusal(caller, "main").code() == Code::kRefused);
  CheckMessage(refusal(caller, "main"), "it was imported");
  CHECK(refusal(caller, "dev", "dev").code() == Code::kUsage);
  CHECK(refusal(caller, "dev", "none").code() == Code::kNotFound);
  CHECK(refusal(caller, "dev", "main@none").code() == Code::kNotFound);
  const Status others = refusal(kAlice, "dev");
  CHECK(others.code() == Code::kRefused);
  CHECK(others.hint() == "only \"tester\" and admins may change it");
  REQUIRE(store->branches().Protect(caller, "dev", {}).ok());
  CHECK(refusal(caller, "dev").code() == Code::kRefused);
  CHECK(refusal(caller, "dev").hint() == "remove the protection first: velafs unprotect dev");
  REQUIRE(store->branches().Unprotect(caller, "dev").ok());
  Delete("dev");
  const Status gone = refusal(caller, "child");
  CHECK(gone.code() == Code::kNotFound);
  CHECK(gone.hint() ==
        "`velafs undelete dev` brings it back, or say what to reset it to: --to SOURCE");
}

TEST_CASE_FIXTURE(BranchesFixture, "a promoted branch's state is the target's, whose own is kept") {
  Clone("main", "dev");
  WriteInto("dev", "16\n");
  WriteInto("main", "14\n");
  const Tree old = BranchTree("main");
  const BranchInfo before = Info("main");

  const auto would = store->replacing().Promote(caller, "dev", "main", true);
  REQUIRE(would.ok());
  CHECK(would->bookmark == "main@before-promote-1");
  CHECK(BranchTree("main") == old);
  CHECK(store->bookmarks().List({})->empty());

  const auto promoted = store->replacing().Promote(caller, "dev", "main", false);
  REQUIRE_MESSAGE(promoted.ok(), promoted.status().message());
  CHECK(promoted->bookmark == "main@before-promote-1");
  CHECK(BranchTree("main") == BranchTree("dev"));
  CHECK(Info("main").id == before.id);
  CHECK_FALSE(Info("main").parent);
  Clone("main@before-promote-1", "old");
  CHECK(BranchTree("old") == old);

  WriteInto("main", "18\n");
  CHECK(BranchTree("main") != BranchTree("dev"));
  REQUIRE(store->replacing().Promote(caller, "dev", "main", false).ok());
  CHECK(store->bookmarks().List("main")->size() == 2);
  // The other way round, and with nothing changed since.
  REQUIRE(store->replacing().Promote(caller, "main", "dev", false).ok());
  Reopen();
  CHECK(BranchTree("old") == old);
  CHECK(BranchTree("main") == BranchTree("dev"));
}

TEST_CASE_FIXTURE(BranchesFixture, "the target's state is kept though nothing of it was synced") {
  Clone("main", "dev");
  WriteInto("main", "14\n");
  const Tree old = BranchTree("main");
  REQUIRE(store->replacing().Promote(caller, "dev", "main", false).ok());
  Reopen();  // without a clean end
  Clone("main@before-promote-1", "old");
  CHECK(BranchTree("old") == old);
}

TEST_CASE_FIXTURE(BranchesFixture, "a promotion that cannot be done says why") {
  CloneOptions alices;
  alices.owner = "alice";
  REQUIRE(store->branches().Clone(caller, "main", "dev", alices).ok());
  CHECK(store->replacing().Promote(caller, "dev", "dev", true).status().code() == Code::kUsage);
  CHECK(store->replacing().Promote(caller, "dev", "none", true).status().code() == Code::kNotFound);
  CHECK(store->replacing().Promote(caller, "none", "dev", true).status().code() == Code::kNotFound);
  CHECK(store->replacing().Promote(kAlice, "dev", "main", true).status().code() == Code::kRefused);
  CHECK(store->replacing().Promote(kAlice, "main", "dev", true).ok());
  REQUIRE(store->branches().Protect(caller, "main", {}).ok());
  const Status refused = store->replacing().Promote(caller, "dev", "main", false).status();
  CHECK(refused.code() == Code::kRefused);
  CHECK(refused.message() == "cannot promote \"dev\" onto \"main\": branch \"main\" is protected");
}

TEST_CASE_FIXTURE(BranchesFixture,
                  "what takes a branch's state has the kernel send its writes first") {
  using Names = std::vector<std::string>;
  Clone("main", "dev");
  Clone("main", "target");
  Listener listener;
  store->context().mount.Set(scratch / "mnt", &listener);
  const auto open_all = [&] {
    const auto names = store->branches().Names();
    REQUIRE(names.ok());
    for (const std::string& name : *names) (void)Opened(name);
  };
  const auto sent_by = [&](const auto& verb) {
    // The kernel has something to send of branches only that it has looked at.
    open_all();
    listener.sent.clear();
    const Status done = verb();
    CHECK_MESSAGE(done.ok(), done.message());
    return listener.sent;
  };
  CHECK(sent_by([&] { return store->branches().Clone(caller, "dev", "one", {}).status(); }) ==
        Names{"dev"});
  CHECK(sent_by([&] { return store->bookmarks().Create(caller, "dev@b", "").status(); }) ==
        Names{"dev"});
  CHECK(sent_by([&] {
          return store->branches().Clone(caller, "dev@b", "two", {}).status();
        }).empty());
  CHECK(sent_by([&] { return store->states().Diff("dev", "one").status(); }) ==
        Names{"dev", "one"});
  CHECK(sent_by([&] { return store->replacing().Reset(caller, "one", {}, {}).status(); }) ==
        Names{"one", "dev"});
  CHECK(sent_by([&] { return store->replacing().Reset(caller, "one", "dev@b", {}).status(); }) ==
        Names{"one"});
  CHECK(sent_by([&] {
          return store->replacing().Promote(caller, "dev", "target", false).status();
        }) == Names{"dev", "target"});
  REQUIRE(store->governance()
              .SetPolicies(catalog::SettingScope::kBranch, "dev", {{"bookmark_every", "1h"}})
              .ok());
  CHECK(sent_by([&] {
          return store->bookmarks().RunSchedules(caller, NowNs() + 7'200'000'000'000).status();
        }) == Names{"dev"});
  CHECK(sent_by([&] { return store->trash().Delete(caller, "two", {}).status(); }) == Names{"two"});

  CloneOptions brief;
  brief.ttl = std::chrono::seconds(1);
  REQUIRE(store->branches().Clone(caller, "dev@b", "kept", brief).ok());
  REQUIRE(store->branches().Clone(caller, "dev@b", "gone", brief).ok());
  REQUIRE(store->governance()
              .SetPolicies(catalog::SettingScope::kBranch, "kept", {{"on_expire", "keep"}})
              .ok());
  CHECK(sent_by([&] {
          return store->upkeep().Expire(caller, false, NowNs() + 7'200'000'000'000).status();
        }) == Names{"gone"});

  // Of one that nobody has opened, none.
  Reopen();
  store->context().mount.Set(scratch / "mnt", &listener);
  listener.sent.clear();
  REQUIRE(store->branches().Clone(caller, "dev", "unopened", {}).ok());
  CHECK(listener.sent.empty());

  // What cannot be stored is in no clone, and keeps no branch from being thrown away.
  open_all();
  listener.sending = Errno(ENOSPC);
  CHECK(store->branches().Clone(caller, "dev", "three", {}).status().error_number() == ENOSPC);
  CHECK(store->bookmarks().Create(caller, "dev@c", "").status().error_number() == ENOSPC);
  CHECK(store->states().Diff("dev", "one").status().error_number() == ENOSPC);
  CHECK(store->replacing().Promote(caller, "dev", "target", false).status().error_number() ==
        ENOSPC);
  CHECK(store->replacing().Reset(caller, "one", "dev@b", {}).ok());
  CHECK(store->trash().Delete(caller, "one", {}).ok());
  store->context().mount.Set("", nullptr);
}

TEST_CASE_FIXTURE(BranchesFixture, "a renamed branch is the same branch, and its clones know it") {
  Clone("main", "dev");
  Bookmark("dev@point");
  Clone("dev", "child");
  Clone("dev@point", "grandchild");
  const Tree tree = BranchTree("dev");
  const auto open = store->volume().Open("dev");
  REQUIRE(open.ok());
  Listener listener;
  store->context().mount.Set(scratch / "mnt", &listener);
  const auto renamed = store->branches().Rename(caller, "dev", "feature");
  REQUIRE_MESSAGE(renamed.ok(), renamed.status().message());
  CHECK(renamed->name == "feature");
  CHECK(listener.told == std::vector<std::string>{"-dev", "+feature"});
  store->context().mount.Set("", nullptr);
  CHECK((*open)->Get((*open)->root()).ok());  // what is open stays open
  CHECK(BranchTree("feature") == tree);
  CHECK(Info("child").parent == "feature");
  CHECK(Info("grandchild").parent_bookmark == "feature@point");
  CHECK((*store->bookmarks().List({}))[0].name == "feature@point");
  CHECK(store->replacing().Reset(caller, "child", {}, {})->source == "feature");

  // Another branch of the old name is not the parent.
  Clone("main", "dev");
  CHECK(Info("child").parent == "feature");
  Delete("feature", /*purge=*/true);
  CHECK(Info("child").parent == "feature");
  CHECK(Info("grandchild").parent_bookmark == "feature@point");
}

TEST_CASE_FIXTURE(BranchesFixture, "a rename that cannot be done says why") {
  Clone("main", "dev");
  const Status taken = store->branches().Rename(caller, "dev", "main").status();
  CHECK(taken.code() == Code::kExists);
  CHECK(taken.message() == "cannot rename \"dev\" to \"main\": branch \"main\" exists");
  CHECK(store->branches().Rename(caller, "dev", "No").status().code() == Code::kUsage);
  CHECK(store->branches().Rename(caller, "none", "x").status().code() == Code::kNotFound);
  CHECK(store->branches().Rename(kAlice, "dev", "x").status().code() == Code::kRefused);
}

TEST_CASE_FIXTURE(BranchesFixture, "a branch is not replaced or renamed under a running server") {
  Clone("main", "dev");
  const std::string mountpoint = scratch / "mnt";
  Listener listener;
  store->context().mount.Set(mountpoint, &listener);
  const WaitingProcess server(scratch.path());
  StartServer("dev", server.pid());
  for (const Status& refused : {store->replacing().Reset(caller, "dev", {}, {}).status(),
                                store->replacing().Promote(caller, "dev", "main", true).status(),
                                store->replacing().Promote(caller, "main", "dev", true).status(),
                                store->branches().Rename(caller, "dev", "x").status()}) {
    CHECK(refused.code() == Code::kRefused);
    CHECK(refused.hint() == "stop it first: velapg stop dev");
    CheckMessage(refused, "a server runs on \"dev\", process " + std::to_string(server.pid()));
  }
  CHECK(store->replacing()
            .Reset(caller, "main", "dev", {})
            .ok());  // of a running branch is as a clone of it
  CHECK(listener.told == std::vector<std::string>{"-main"});
  store->context().mount.Set("", nullptr);
}

}  // namespace
}  // namespace velafs::store
