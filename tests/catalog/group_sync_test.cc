#include "velafs/catalog/group_sync.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <mutex>
#include <semaphore>
#include <thread>
#include <vector>

namespace velafs::catalog {
namespace {

TEST_CASE("what is durable already costs no sync") {
  int syncs = 0;
  GroupSync group([&]() -> Status {
    ++syncs;
    return {};
  });
  CHECK(group.MakeDurable(0).ok());
  CHECK(syncs == 0);
  CHECK(group.Committed() == 1);
  CHECK(group.Committed() == 2);
  CHECK(group.MakeDurable(1).ok());
  CHECK(syncs == 1);
  CHECK(group.last_durable() == 2);
  CHECK(group.MakeDurable(2).ok());
  CHECK(syncs == 1);
}

TEST_CASE("a commit during a sync is not counted as covered by it") {
  GroupSync* committer = nullptr;
  int syncs = 0;
  GroupSync group([&]() -> Status {
    if (++syncs == 1) committer->Committed();
    return {};
  });
  committer = &group;
  group.Committed();
  CHECK(group.MakeDurable(1).ok());
  CHECK(group.last_durable() == 1);
  CHECK(group.MakeDurable(2).ok());
  CHECK(syncs == 2);
}

TEST_CASE("one sync serves all who wait for it") {
  constexpr int kThreads = 16;
  std::binary_semaphore first_sync_runs(0);
  std::binary_semaphore first_sync_may_end(0);
  int syncs = 0;
  GroupSync group([&]() -> Status {
    if (++syncs == 1) {
      first_sync_runs.release();
      first_sync_may_end.acquire();
    }
    return {};
  });
  group.Committed();
  std::thread leader([&] { CHECK(group.MakeDurable(1).ok()); });
  first_sync_runs.acquire();
  std::vector<std::thread> waiting;
  for (int i = 0; i < kThreads; ++i) {
    const CommitSequence sequence = group.Committed();  // before any of them can sync
    waiting.emplace_back([&group, sequence] {
      CHECK(group.MakeDurable(sequence).ok());
      CHECK(group.last_durable() >= sequence);
    });
  }
  first_sync_may_end.release();
  leader.join();
  for (std::thread& thread : waiting) thread.join();
  CHECK(syncs == 2);
}

TEST_CASE("after one failed sync nothing is ever called durable again") {
  bool fails = false;
  GroupSync group([&] { return fails ? SystemError(EIO, "sync") : Status(); });
  group.Committed();
  CHECK(group.MakeDurable(1).ok());
  group.Committed();
  fails = true;
  CHECK(group.MakeDurable(2).error_number() == EIO);
  fails = false;
  CHECK(group.MakeDurable(2).error_number() == EIO);
  CHECK(group.MakeDurable(1).error_number() == EIO);
  CHECK(group.last_durable() == 1);
}

}  // namespace
}  // namespace velafs::catalog
