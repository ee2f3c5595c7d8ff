// Verbs that are given at the same time.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/store/branches_fixture.h"
#include "tests/store/hooked_storage.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using test::HookedStorage;

// Something that one thread waits for and another brings about.
class Event {
 public:
  void Happen() {
    {
      const std::lock_guard lock(mutex_);
      has_happened_ = true;
    }
    changed_.notify_all();
  }
  // False if it has not happened after a time in which it must.
  bool Wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [this] { return has_happened_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_happened_ = false;
};

// Runs `verb` on branch "slow", whose files take as long to sync as the clone of "quick" takes.
struct SlowSyncFixture : BranchesFixture {
  enum Before { kNothing, kUncleanEnd };
  void RunBesideClone(const std::function<Status()>& verb, Before before = kNothing) {
    std::atomic<bool> next_sync_waits = false;
    bool has_cloned_in_time = false;
    Event sync_began;
    Event clone_made;
    HookedStorage storage([&](const std::string& path) -> Status {
      if (path.find("/layers/") == std::string::npos) return {};
      if (!next_sync_waits.exchange(false)) return {};
      sync_began.Happen();
      has_cloned_in_time = clone_made.Wait();
      return {};
    });
    Clone("main", "slow");
    Clone("main", "quick");
    Reopen(storage);
    WriteInto("slow", "18\n");
    if (before == kUncleanEnd) Reopen(storage);
    (void)Opened("quick");
    next_sync_waits = true;
    Status done;
    std::thread slow([&] { done = verb(); });
    CHECK(sync_began.Wait());
    Clone("quick", "clone");
    clone_made.Happen();
    slow.join();
    CHECK_MESSAGE(done.ok(), done.message());
    CHECK(has_cloned_in_time);
    Reopen();
  }
};

TEST_CASE_FIXTURE(SlowSyncFixture, "a clone does not wait while a clone of another branch syncs") {
  RunBesideClone([this] { return store->branches().Clone(caller, "slow", "other", {}).status(); });
}

TEST_CASE_FIXTURE(SlowSyncFixture, "a clone does not wait while a bookmark of another syncs") {
  RunBesideClone([this] { return store->bookmarks().Create(caller, "slow@point", "").status(); });
}

TEST_CASE_FIXTURE(SlowSyncFixture, "a clone does not wait while a deleted branch syncs") {
  RunBesideClone([this] { return store->trash().Delete(caller, "slow", {}).status(); });
}

TEST_CASE_FIXTURE(SlowSyncFixture, "a clone does not wait while a deleted branch is recovered") {
  RunBesideClone([this] { return store->trash().Delete(caller, "slow", {}).status(); },
                 kUncleanEnd);
}

TEST_CASE_FIXTURE(SlowSyncFixture, "a clone does not wait while the branch to reset syncs") {
  RunBesideClone([this] { return store->replacing().Reset(caller, "slow", "main", {}).status(); });
}

TEST_CASE_FIXTURE(BranchesFixture, "many files of a branch are synced side by side") {
  std::atomic<bool> is_first = false;
  std::atomic<bool> is_second = false;
  bool has_company = false;
  Event other_began;
  HookedStorage storage([&](const std::string& path) -> Status {
    if (path.find("/layers/") == std::string::npos) return {};
    if (is_first.exchange(false)) {
      is_second = true;
      has_company = other_began.Wait();
    } else if (is_second.exchange(false)) {
      other_began.Happen();
    }
    return {};
  });
  Reopen(storage);
  layer::Branch& branch = Opened("main");
  for (int i = 0; i < 64; ++i) {
    const auto made =
        branch.Make(branch.root(), "file" + std::to_string(i), {.mode = S_IFREG | 0600});
    REQUIRE(made.ok());
    REQUIRE(branch.Write(made->ino, 0, std::as_bytes(std::span("text", 4))).ok());
  }
  is_first = true;
  CHECK(branch.SyncAll(/*closing=*/false).ok());
  CHECK(has_company);
  store.reset();
}

TEST_CASE_FIXTURE(BranchesFixture, "clones made at once have what their sources had, each once") {
  constexpr int kClients = 16;
  for (int i = 0; i < kClients; ++i) {
    Clone("main", "source" + std::to_string(i));
    WriteInto("source" + std::to_string(i), "version " + std::to_string(i));
  }
  std::vector<std::thread> clients;
  std::atomic<int> made = 0;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this, i, &made] {
      const std::string number = std::to_string(i);
      made += store->branches().Clone(caller, "source" + number, "own" + number, {}).ok() ? 1 : 0;
      made += store->branches().Clone(caller, "source0", "first" + number, {}).ok() ? 1 : 0;
      made += store->branches().Clone(caller, "source1", "contended", {}).ok() ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(made == 2 * kClients + 1);
  Reopen();
  for (int i = 0; i < kClients; ++i) {
    const std::string number = std::to_string(i);
    CHECK(BranchTree("own" + number) == BranchTree("source" + number));
    CHECK(BranchTree("first" + number) == BranchTree("source0"));
  }
}

TEST_CASE_FIXTURE(BranchesFixture, "clones made at once are no more than the policy allows") {
  constexpr int kClients = 12;
  constexpr int kMore = 5;
  for (int i = 0; i < kClients; ++i) Clone("main", "source" + std::to_string(i));
  const std::string most = std::to_string(1 + kClients + kMore);
  REQUIRE(store->governance()
              .SetPolicies(catalog::SettingScope::kStore, {}, {{"max_branches", most}})
              .ok());
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this, i] {
      const std::string number = std::to_string(i);
      const auto clone = store->branches().Clone(caller, "source" + number, "clone" + number, {});
      CHECK((clone.ok() || clone.status().code() == Code::kRefused));
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(Names().size() == 1 + kClients + kMore);
}

TEST_CASE_FIXTURE(BranchesFixture, "a collection that waits for a sealing can be interrupted") {
  WriteInto("main", "18\n");
  Bookmark("main@point");
  Event sealing_began;
  Event sealing_may_end;
  std::atomic<bool> was_let_end = false;
  std::thread sealing([&] {
    const auto go_on = [&] {
      sealing_began.Happen();
      was_let_end = sealing_may_end.Wait();
      return true;
    };
    CHECK(store->upkeep().SealLayer(NowNs(), UpkeepVerbs::Pace::kFull, go_on).ok());
  });
  CHECK(sealing_began.Wait());
  const auto collected =
      store->upkeep().CollectGarbage(caller, false, [](const GcProgress&) { return false; });
  CHECK(collected.status().message() == "cannot collect garbage: interrupted");
  const auto imported =
      store->imports().Import(caller, "other", data, [](const ImportProgress&) { return false; });
  CHECK_FALSE(imported.ok());
  sealing_may_end.Happen();
  sealing.join();
  CHECK(was_let_end);
}

}  // namespace
}  // namespace velafs::store
