#include "velafs/api/workers.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>

namespace velafs::api {
namespace {

constexpr WorkerLimits kLimits = {.threads = 8,
                                  .waiting = 8,
                                  .guest_threads = 4,
                                  .guest_waiting = 5,
                                  .threads_each = 2,
                                  .waiting_each = 3};

// Jobs that wait until they are let go.
struct WorkersFixture {
  bool Start(const Workers::Guest& guest) {
    return workers.Run(guest, [this] {
      ++begun;
      begun.notify_all();
      let_go.wait();
      ++done;
    });
  }
  void AwaitBegun(int count) {
    for (int now = begun; now < count; now = begun) begun.wait(now);
  }

  std::promise<void> go;
  const std::shared_future<void> let_go = go.get_future().share();
  std::atomic<int> begun = 0;
  std::atomic<int> done = 0;
  Workers workers{kLimits};
};

TEST_CASE_FIXTURE(WorkersFixture, "one guest's jobs keep nobody else's waiting") {
  for (int i = 0; i < 5; ++i) CHECK(Start(1));
  CHECK_FALSE(Start(1));  // 2 run, 3 wait
  AwaitBegun(2);
  CHECK(Start(2));
  AwaitBegun(3);
  CHECK(Start(3));
  AwaitBegun(4);
  CHECK(Start(4));  // all guests together have 4 threads: it waits
  CHECK(Start(5));
  CHECK_FALSE(Start(6));  // and 5 may
  for (int i = 0; i < 4; ++i) CHECK(Start({}));
  AwaitBegun(8);
  CHECK(begun == 8);
  go.set_value();
  workers.Stop();
  CHECK(done == 13);
}

TEST_CASE_FIXTURE(WorkersFixture, "one who is no guest has all the threads, and others wait") {
  for (int i = 0; i < 8; ++i) CHECK(Start({}));
  AwaitBegun(8);
  CHECK(Start(1));  // has a thread as soon as there is one
  for (int i = 0; i < 7; ++i) CHECK(Start({}));
  CHECK_FALSE(Start({}));
  go.set_value();
  workers.Stop();
  CHECK(done == 16);
  CHECK_FALSE(Start({}));
}

}  // namespace
}  // namespace velafs::api
