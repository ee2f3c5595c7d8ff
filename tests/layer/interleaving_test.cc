// What happens to a branch at once, in many orders, each of which can be had again.
//
// VELAFS_SEED begins with another order, VELAFS_STEPS says how many are tried.
#include <doctest/doctest.h>

#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/layer/interleaved_work.h"
#include "tests/random.h"

namespace velafs::layer {
namespace {

using test::FromEnvironment;
using test::Scheduler;
using Work = void (InterleavedWork::*)();

std::string TextOf(const std::vector<std::string>& faults) {
  std::string text;
  for (const std::string& fault : faults) text += "\n  " + fault;
  return text;
}

constexpr uint64_t kFewSteps = 2;
constexpr uint64_t kSomeSteps = 7;

// `first` is stopped after so many steps, `second` runs to its end, then `first` does; and so on
// for each of the steps of `first`, or every few of them, until it has none left.
void Interrupt(Work first, Work second, uint64_t step = kSomeSteps, Work before = nullptr) {
  if (!Scheduler::IsPossible()) return;
  uint64_t pauses = 0;
  for (bool has_paused = true; has_paused; pauses += step) {
    InterleavedWork work(1);
    if (before != nullptr) (work.*before)();
    Scheduler scheduler = Scheduler::WithPauseAfter(pauses);
    scheduler.Run({{"first", [&] { (work.*first)(); }}, {"second", [&] { (work.*second)(); }}});
    has_paused = scheduler.has_paused();
    work.CheckAll();
    work.CheckAfterEnds();
    REQUIRE_MESSAGE(work.faults().empty(), "after ", pauses, " steps:", TextOf(work.faults()));
  }
  CHECK(pauses > 10);
}

TEST_CASE("what is loaded while layers are merged is what was there") {
  Interrupt(&InterleavedWork::Look, &InterleavedWork::MergeOnce, kFewSteps);
}

TEST_CASE("what is loaded while a layer is sealed is what was there") {
  Interrupt(&InterleavedWork::Look, &InterleavedWork::SealOnce, kFewSteps,
            &InterleavedWork::MergeAll);
}

TEST_CASE("what is loaded while a branch is frozen is what was there") {
  Interrupt(&InterleavedWork::Look, &InterleavedWork::FreezeOnce);
}

TEST_CASE("a merge is not seen by who looks at any step of it") {
  Interrupt(&InterleavedWork::MergeOnce, &InterleavedWork::Look);
}

TEST_CASE("sealing is not seen by who looks at any step of it") {
  Interrupt(&InterleavedWork::SealOnce, &InterleavedWork::Look, kSomeSteps,
            &InterleavedWork::MergeAll);
}

TEST_CASE("what is read while garbage is collected is what was there") {
  Interrupt(&InterleavedWork::Look, &InterleavedWork::CollectGarbage);
}

TEST_CASE("a collection of garbage is not seen by who looks at any step of it") {
  Interrupt(&InterleavedWork::CollectGarbage, &InterleavedWork::Look);
}

TEST_CASE("names that are changed during any step of a merge are as they were changed") {
  Interrupt(&InterleavedWork::MergeOnce, &InterleavedWork::ChangeNames);
}

TEST_CASE("in whatever order threads go on, each sees what it should") {
  if (!Scheduler::IsPossible()) return;
  const unsigned seed = test::Seed();
  const unsigned long orders = FromEnvironment("VELAFS_STEPS", 40);
  uint64_t steps = 0;
  uint64_t packs_rewritten = 0;
  for (unsigned long i = 0; i < orders; ++i) {
    const unsigned one = seed + static_cast<unsigned>(i);
    INFO("VELAFS_SEED=", one, " VELAFS_STEPS=1");
    InterleavedWork work(one);
    Scheduler scheduler(one);
    scheduler.Run(work.AllActors());
    steps += scheduler.steps();
    packs_rewritten += work.packs_rewritten();
    work.CheckAll();
    work.CheckAfterEnds();
    REQUIRE_MESSAGE(work.faults().empty(), TextOf(work.faults()));
  }
  MESSAGE("replay with VELAFS_SEED=", seed, "; ", steps, " steps");
  CHECK(packs_rewritten >= orders);
}

TEST_CASE("in whatever order threads go on, a power cut takes nothing that was synced") {
  if (!Scheduler::IsPossible()) return;
  const unsigned seed = test::Seed();
  const unsigned long orders = FromEnvironment("VELAFS_STEPS", 20);
  MESSAGE("replay with VELAFS_SEED=", seed);
  unsigned long cuts = 0;
  for (unsigned long i = 0; i < orders; ++i) {
    const unsigned one = seed + static_cast<unsigned>(i);
    INFO("VELAFS_SEED=", one, " VELAFS_STEPS=1");
    InterleavedWork work(one);
    constexpr unsigned kMostChanges = 1000;  // a run has some more
    work.CutAfter(std::mt19937(one)() % kMostChanges);
    Scheduler scheduler(one);
    scheduler.Run(work.AllActors());
    cuts += work.is_cut() ? 1 : 0;
    work.CheckAfterCut();
    REQUIRE_MESSAGE(work.faults().empty(), TextOf(work.faults()));
  }
  CHECK(cuts > orders / 2);
}

// Fit for ThreadSanitizer.
TEST_CASE("threads that go on by themselves see what they should") {
  const unsigned long rounds = FromEnvironment("VELAFS_STEPS", 10);
  for (unsigned long i = 0; i < rounds; ++i) {
    InterleavedWork work(static_cast<unsigned>(i));
    std::vector<std::thread> threads;
    for (Scheduler::Actor& actor : work.AllActors()) threads.emplace_back(std::move(actor.body));
    for (std::thread& thread : threads) thread.join();
    work.CheckAll();
    work.CheckAfterEnds();
    REQUIRE_MESSAGE(work.faults().empty(), TextOf(work.faults()));
  }
}

TEST_CASE("a seed gives the same order each time, and another one another") {
  if (!Scheduler::IsPossible()) return;
  const auto order_of = [](unsigned seed) {
    InterleavedWork work(1);
    Scheduler scheduler(seed);
    scheduler.Run(work.AllActors());
    return scheduler.fingerprint();
  };
  // On a busy machine the volume's upkeep, which is no actor, may come between.
  constexpr int kMostRuns = 20;
  std::set<uint64_t> seen;
  bool repeats = false;
  for (int run = 0; run < kMostRuns && !repeats; ++run) repeats = !seen.insert(order_of(1)).second;
  CHECK(repeats);
  CHECK_FALSE(seen.contains(order_of(2)));
}

}  // namespace
}  // namespace velafs::layer
