#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include "tests/store/branches_fixture.h"
#include "velafs/catalog/catalog.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/server_verbs.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

TEST_CASE_FIXTURE(BranchesFixture, "a clone is what its parent was, and costs nothing") {
  const auto clone = store->branches().Clone(caller, "main", "dev", {});
  REQUIRE_MESSAGE(clone.ok(), clone.status().message());
  CHECK(clone->name == "dev");
  CHECK(clone->parent == "main");
  CHECK_FALSE(clone->parent_bookmark);
  CHECK_FALSE(clone->path);
  CHECK(clone->owner == "tester");
  CHECK(clone->state == BranchState::kReady);
  CHECK(clone->own_bytes == 0);
  CHECK(clone->logical_bytes == store->branches().Show("main")->logical_bytes);
  CHECK_FALSE(clone->expires_at);
  CHECK(BranchTree("dev") == BranchTree("main"));
}

TEST_CASE_FIXTURE(BranchesFixture, "clone and parent do not see each other's later writes") {
  const Tree before = BranchTree("main");
  Clone("main", "dev");
  WriteInto("main", "16\n");
  CHECK(BranchTree("dev") == before);
  WriteInto("dev", "17\n");
  CHECK(BranchTree("main") != before);
  CHECK(BranchTree("main") != BranchTree("dev"));
  Clone("main", "later");
  CHECK(BranchTree("later") == BranchTree("main"));
}

TEST_CASE_FIXTURE(BranchesFixture, "a clone's options are kept") {
  CloneOptions options;
  options.ttl = std::chrono::hours(12);
  options.owner = "alice";
  options.labels = {{"pr", "42"}, {"team", "db"}};
  options.note = "for a test";
  const TimeNs before = NowNs();
  REQUIRE(store->branches().Clone(caller, "main", "dev", options).ok());
  Reopen();
  const auto info = store->branches().Show("dev");
  REQUIRE(info.ok());
  CHECK(info->owner == "alice");
  CHECK(info->labels == options.labels);
  CHECK(info->note == "for a test");
  CHECK(info->created_at >= before);
  CHECK(info->expires_at == info->created_at + TimeNs{12} * 3600 * 1'000'000'000);
}

TEST_CASE_FIXTURE(BranchesFixture, "a clone that cannot be made says why") {
  Clone("main", "dev");
  const Status taken = store->branches().Clone(caller, "main", "dev", {}).status();
  CHECK(taken.code() == Code::kExists);
  CHECK(taken.message() == "cannot clone \"main\" to \"dev\": branch \"dev\" exists");
  const Status unknown = store->branches().Clone(caller, "x", "y", {}).status();
  CHECK(unknown.code() == Code::kNotFound);
  CHECK(unknown.message() == "cannot clone \"x\" to \"y\": there is no branch \"x\"");
  CHECK(unknown.hint() == "`velafs list` shows the branches");
  const Status no_bookmark = store->branches().Clone(caller, "main@x", "y", {}).status();
  CHECK(no_bookmark.code() == Code::kNotFound);
  CHECK(no_bookmark.message() ==
        "cannot clone \"main@x\" to \"y\": there is no bookmark \"main@x\"");
  CHECK(store->branches().Clone(caller, "main", "NO", {}).status().code() == Code::kUsage);
  CloneOptions never;
  never.ttl = std::chrono::seconds(0);
  CHECK(store->branches().Clone(caller, "main", "y", never).status().code() == Code::kUsage);
  CHECK(Names() == std::vector<std::string>{"dev", "main"});
}

TEST_CASE_FIXTURE(BranchesFixture, "branches are listed by name") {
  Clone("main", "zebra");
  Clone("zebra", "apple");
  const auto list = store->branches().List();
  REQUIRE(list.ok());
  REQUIRE(list->size() == 3);
  CHECK((*list)[0].name == "apple");
  CHECK((*list)[0].parent == "zebra");
  CHECK((*list)[1].name == "main");
  CHECK((*list)[2].name == "zebra");
  const Status unknown = store->branches().Show("none").status();
  CHECK(unknown.code() == Code::kNotFound);
  CHECK(unknown.message() == "there is no branch \"none\"");
}

TEST_CASE_FIXTURE(BranchesFixture, "a deleted branch is gone, and its clones stay") {
  WriteInto("main", "16\n");
  Clone("main", "dev");
  const Tree before = BranchTree("dev");
  fs::create_directories(root + "/run/" + std::to_string(store->branches().Show("main")->id) +
                         "/log");
  CHECK(store->trash().Delete(caller, "main", {}).ok());
  CHECK(Names() == std::vector<std::string>{"dev"});
  CHECK(BranchTree("dev") == before);
  CHECK_FALSE(fs::exists(root + "/run/1"));
  Reopen();
  CHECK(BranchTree("dev") == before);
  const Status again = store->trash().Delete(caller, "main", {}).status();
  CHECK(again.code() == Code::kNotFound);
  CHECK(again.message() == "cannot delete \"main\": there is no branch \"main\"");
}

TEST_CASE_FIXTURE(BranchesFixture,
                  "a branch is deleted only for its owner, root, or the store's user") {
  CloneOptions alices;
  alices.owner = "alice";
  REQUIRE(store->branches().Clone(caller, "main", "dev", alices).ok());
  const Caller bob{geteuid() + 4242, "bob"};
  const Status refused = store->trash().Delete(bob, "dev", {.force = true}).status();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "branch \"dev\" belongs to \"alice\"");
  CHECK(store->trash().Delete({geteuid() + 4242, "alice"}, "dev", {}).ok());
  CHECK(store->trash().Delete({geteuid(), "whoever"}, "main", {}).ok());
}

TEST_CASE_FIXTURE(BranchesFixture, "a protected branch is not deleted, forced or not") {
  store.reset();
  {
    auto catalog = catalog::Catalog::Open(root + "/catalog.db");
    REQUIRE(catalog.ok());
    const auto written = (*catalog)->Write([](catalog::Writer& writer) -> Status {
      VELAFS_ASSIGN(auto row, writer.Branch("main"));
      row->is_protected = true;
      return writer.UpdateBranch(*row);
    });
    REQUIRE(written.ok());
  }
  Reopen();
  for (const bool force : {false, true}) {
    const Status refused = store->trash().Delete(caller, "main", {.force = force}).status();
    CHECK(refused.code() == Code::kRefused);
    CHECK(refused.hint().find("velafs unprotect main") != std::string::npos);
  }
  CHECK(store->branches().Show("main")->is_protected);
}

TEST_CASE_FIXTURE(BranchesFixture, "a branch on which a server runs says so and is not deleted") {
  Clone("main", "dev");
  const std::string mountpoint = scratch / "mnt";
  Listener listener;
  store->context().mount.Set(mountpoint, &listener);
  CHECK(store->context().mount.mountpoint() == mountpoint);
  {
    const WaitingProcess server(scratch.path());
    CHECK(store->branches().Show("dev")->state == BranchState::kReady);
    StartServer("dev", server.pid());
    CHECK(store->branches().Show("dev")->server_pid == server.pid());
    CHECK(store->servers().CheckNoServers().hint() == "stop it first: velapg stop dev");
    const auto list = store->branches().List();
    REQUIRE(list.ok());
    CHECK((*list)[0].state == BranchState::kRunning);
    CHECK((*list)[0].path == mountpoint + "/dev");
    CHECK((*list)[1].state == BranchState::kReady);
    const Status refused = store->trash().Delete(caller, "dev", {}).status();
    CHECK(refused.code() == Code::kRefused);
    CHECK(refused.hint() == "stop it first: velapg stop dev");
    CHECK(Names().size() == 2);
  }
  CHECK(store->branches().Show("dev")->state == BranchState::kReady);
  CHECK(store->trash().Delete(caller, "dev", {}).ok());
  CHECK(listener.told == std::vector<std::string>{"-dev"});
  Clone("main", "new");
  CHECK(listener.told.back() == "+new");
  store->context().mount.Set("", nullptr);
  Clone("main", "unseen");
  CHECK(listener.told.back() == "+new");
  CHECK_FALSE(store->context().mount.mountpoint());
}

TEST_CASE_FIXTURE(BranchesFixture, "clones and deletions from several threads all happen") {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 5; ++i) {
        const std::string name = "c" + std::to_string(t) + "-" + std::to_string(i);
        const auto made = store->branches().Clone(caller, "main", name, {});
        if (made.ok() && i % 2 == 1) (void)store->trash().Delete(caller, name, {});
        (void)store->branches().List();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(Names().size() == 1 + 4 * 3);
}

TEST_CASE_FIXTURE(BranchesFixture, "the store's figures add up") {
  Clone("main", "dev");
  REQUIRE(store->bookmarks().Create(caller, "main@a", "").ok());
  const auto stats = store->usage().Stats();
  REQUIRE(stats.ok());
  CHECK(stats->branches == 2);
  CHECK(stats->bookmarks == 1);
  CHECK(stats->chunk_count == 7);
  CHECK(stats->logical_bytes == 2 * store->branches().Show("main")->logical_bytes);
  CHECK(stats->stored_bytes >= 200'000);
  CHECK(stats->stored_bytes < 300'000);
}

TEST_CASE_FIXTURE(BranchesFixture, "a branch keeps the port it was given") {
  Clone("main", "dev");
  const auto first = store->servers().AssignPort(caller, "main", {});
  REQUIRE(first.ok());
  CHECK(*first >= 54320);
  CHECK(*first <= 60999);
  const auto second = store->servers().AssignPort(caller, "dev", {});
  REQUIRE(second.ok());
  CHECK(*second != *first);
  Reopen();
  CHECK(*store->servers().AssignPort(caller, "main", {}) == *first);
  CHECK(*store->servers().AssignPort(caller, "main", *first) == *first);
  CHECK(store->branches().Show("dev")->port == *second);
  const Status taken = store->servers().AssignPort(caller, "main", *second).status();
  CHECK(taken.code() == Code::kRefused);
  CheckMessage(taken, "is kept for branch \"dev\"");
  CHECK(store->servers().AssignPort(caller, "none", {}).status().code() == Code::kNotFound);
}

TEST_CASE_FIXTURE(BranchesFixture, "a port in use on the host is not given") {
  const auto port = store->servers().AssignPort(caller, "main", {});
  REQUIRE(port.ok());
  Clone("main", "dev");
  REQUIRE(store->trash().Delete(caller, "main", {}).ok());
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(fd, 1) == 0);
  const Status refused = store->servers().AssignPort(caller, "dev", *port).status();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "in use on this host");
  const auto other = store->servers().AssignPort(caller, "dev", {});
  REQUIRE(other.ok());
  CHECK(*other != *port);
  close(fd);
}

TEST_CASE_FIXTURE(BranchesFixture, "a bookmark is what the branch was, whatever happens later") {
  const Tree then = BranchTree("main");
  const auto made = store->bookmarks().Create(caller, "main@before", "a note");
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  CHECK(made->name == "main@before");
  CHECK(made->branch == "main");
  CHECK(made->note == "a note");
  WriteInto("main", "16\n");
  const auto clone = store->branches().Clone(caller, "main@before", "old", {});
  REQUIRE_MESSAGE(clone.ok(), clone.status().message());
  CHECK(clone->parent == "main");
  CHECK(clone->parent_bookmark == "main@before");
  CHECK(clone->logical_bytes == store->branches().Show("main")->logical_bytes);
  CHECK(BranchTree("old") == then);
  CHECK(BranchTree("main") != then);
}

TEST_CASE_FIXTURE(BranchesFixture,
                  "bookmarks are listed by branch, oldest first, and can be deleted") {
  Clone("main", "dev");
  for (const char* name : {"main@b", "main@a", "dev@c"}) {
    REQUIRE(store->bookmarks().Create(caller, name, "").ok());
  }
  const auto all = store->bookmarks().List({});
  REQUIRE(all.ok());
  REQUIRE(all->size() == 3);
  CHECK((*all)[0].name == "dev@c");
  CHECK((*all)[1].name == "main@b");
  CHECK((*all)[2].name == "main@a");
  CHECK(store->bookmarks().List("main")->size() == 2);
  CHECK(store->bookmarks().List("none").status().code() == Code::kNotFound);
  CHECK(store->bookmarks().Delete(caller, "main@b").ok());
  CHECK(store->bookmarks().List("main")->size() == 1);
  CHECK(store->bookmarks().Delete(caller, "main@b").code() == Code::kNotFound);
}

TEST_CASE_FIXTURE(BranchesFixture, "a bookmark that cannot be made says why") {
  REQUIRE(store->bookmarks().Create(caller, "main@a", "").ok());
  const Status taken = store->bookmarks().Create(caller, "main@a", "").status();
  CHECK(taken.code() == Code::kExists);
  CHECK(taken.message() == "cannot create bookmark \"main@a\": bookmark \"main@a\" exists");
  CHECK(store->bookmarks().Create(caller, "none@a", "").status().code() == Code::kNotFound);
  CHECK(store->bookmarks().Create(caller, "main", "").status().code() == Code::kUsage);
  CHECK(store->bookmarks().Create(caller, "main@", "").status().code() == Code::kUsage);
}

}  // namespace
}  // namespace velafs::store
