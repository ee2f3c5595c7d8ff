#include "velafs/base/periodic_thread.h"

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace velafs {
namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;

// Counts the runs of a task, and waits for them.
class Runs {
 public:
  PeriodicThread::Wait Add(PeriodicThread::Wait wait) {
    std::lock_guard lock(lock_);
    ++runs_;
    changed_.notify_all();
    return wait;
  }
  void Await(int runs) {
    std::unique_lock lock(lock_);
    changed_.wait(lock, [this, runs] { return runs_ >= runs; });
  }
  int Count() {
    std::lock_guard lock(lock_);
    return runs_;
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  int runs_ = 0;
};

TEST_CASE("a periodic thread runs its task again after as long as the task says") {
  Runs runs;
  PeriodicThread thread(nanoseconds(0), [&] { return runs.Add(nanoseconds(1)); });
  runs.Await(3);
}

TEST_CASE("a periodic thread that is woken runs its task at once, and once") {
  Runs runs;
  {
    PeriodicThread thread(hours(1), [&] { return runs.Add(PeriodicThread::kUntilWoken); });
    thread.Wake();
    runs.Await(1);
    thread.Wake();
    runs.Await(2);
  }
  CHECK(runs.Count() == 2);
}

TEST_CASE("a periodic thread ends without another run, and a long run can see that it is to end") {
  Runs runs;
  {
    PeriodicThread waiting(hours(1), [&] { return runs.Add(hours(1)); });
  }
  CHECK(runs.Count() == 0);
  PeriodicThread* running = nullptr;
  {
    PeriodicThread thread(PeriodicThread::kUntilWoken, [&] {
      runs.Add({});
      while (!running->is_stopping()) std::this_thread::yield();
      return nanoseconds(0);
    });
    running = &thread;
    thread.Wake();
    runs.Await(1);
  }
  CHECK(runs.Count() == 1);
}

}  // namespace
}  // namespace velafs
