#include "tests/os/scheduler.h"

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <semaphore>
#include <thread>

namespace velafs::test {
namespace {

constexpr auto kDeadlockTime = std::chrono::seconds(60);

}  // namespace

struct Scheduler::State {
  struct Member {
    Actor actor;
    std::thread thread = {};
    std::binary_semaphore turn{0};
    bool is_done = false;
    bool is_waiting = false;  // found a lock taken, and nobody has gone on since
  };

  std::vector<size_t> Ready() const {
    std::vector<size_t> ready;
    for (size_t i = 0; i < members.size(); ++i) {
      if (!members[i]->is_done && !members[i]->is_waiting) ready.push_back(i);
    }
    return ready;
  }

  size_t Choose(const std::vector<size_t>& ready) {
    if (pause_after) {
      if (steps_of_first >= *pause_after) has_paused = true;
      return has_paused ? ready.back() : ready.front();
    }
    const bool goes_on = std::ranges::find(ready, current) != ready.end();
    return goes_on && random() % burst > 0 ? current : ready[random() % ready.size()];
  }

  // Returns when it is the caller's turn again.
  void Yield() {
    const size_t self = current;
    if (PassOn()) members[self]->turn.acquire();
  }

  // True if it is another one's turn now.
  bool PassOn() {
    std::vector<size_t> ready = Ready();
    if (ready.empty()) {
      // A thread that is no actor may have the lock.
      for (const auto& member : members) member->is_waiting = false;
      ready = Ready();
      EndIfStuck();
      std::this_thread::yield();
    }
    if (ready.empty()) return false;  // all have come to their ends
    const size_t next = Choose(ready);
    fingerprint = (fingerprint ^ next) * 1099511628211U;
    if (next == current) return false;
    current = next;
    members[next]->turn.release();
    return true;
  }

  void EndIfStuck() const {
    if (std::chrono::steady_clock::now() - went_on_at < kDeadlockTime) return;
    std::fprintf(stderr, "deadlock after %llu steps of:", static_cast<unsigned long long>(steps));
    for (const auto& member : members) {
      if (!member->is_done) std::fprintf(stderr, " %s", member->actor.name.c_str());
    }
    std::fputs("\n", stderr);
    std::abort();
  }

  void GoesOn() {
    ++steps;
    if (current == 0) ++steps_of_first;
    went_on_at = std::chrono::steady_clock::now();
    for (const auto& member : members) member->is_waiting = false;
  }

  const std::optional<uint64_t> pause_after;
  std::mt19937 random;
  unsigned burst;  // an actor goes on for so many steps, on average
  std::vector<std::unique_ptr<Member>> members = {};
  size_t current = 0;
  uint64_t steps = 0;
  uint64_t steps_of_first = 0;
  uint64_t fingerprint = 14695981039346656037U;
  bool has_paused = false;
  std::chrono::steady_clock::time_point went_on_at = {};
};

namespace {

thread_local Scheduler* scheduler_of_thread = nullptr;

}  // namespace

Scheduler::Scheduler(std::optional<uint64_t> pause_after, unsigned seed)
    : state_(new State{.pause_after = pause_after, .random = std::mt19937(seed), .burst = 1}) {
  constexpr unsigned kBursts[] = {2, 8, 32, 128, 512};
  state_->burst = kBursts[state_->random() % std::size(kBursts)];
}
Scheduler::Scheduler(unsigned seed) : Scheduler(std::nullopt, seed) {}
Scheduler Scheduler::WithPauseAfter(uint64_t steps) { return Scheduler(steps, 0); }
Scheduler::~Scheduler() = default;
Scheduler::Scheduler(Scheduler&&) noexcept = default;

void Scheduler::Run(std::vector<Actor> actors) {
  State& run = *state_;
  run.went_on_at = std::chrono::steady_clock::now();
  for (Actor& actor : actors) {
    run.members.push_back(std::make_unique<State::Member>());
    run.members.back()->actor = std::move(actor);
  }
  for (size_t i = 0; i < run.members.size(); ++i) {
    run.members[i]->thread = std::thread([this, &run, i] {
      State::Member& self = *run.members[i];
      self.turn.acquire();
      scheduler_of_thread = this;
      self.actor.body();
      scheduler_of_thread = nullptr;
      self.is_done = true;
      run.GoesOn();
      run.PassOn();
    });
  }
  run.current = run.pause_after ? 0 : run.random() % run.members.size();
  run.members[run.current]->turn.release();
  for (const auto& member : run.members) member->thread.join();
}

uint64_t Scheduler::steps() const { return state_->steps; }
uint64_t Scheduler::fingerprint() const { return state_->fingerprint; }
bool Scheduler::has_paused() const { return state_->has_paused; }

bool Scheduler::IsActor() { return scheduler_of_thread != nullptr; }

void Scheduler::Step() {
  if (scheduler_of_thread == nullptr) return;
  State& run = *scheduler_of_thread->state_;
  run.GoesOn();
  run.Yield();
}

void Scheduler::WaitForOthers() {
  State& run = *scheduler_of_thread->state_;
  run.members[run.current]->is_waiting = true;
  run.Yield();
}

}  // namespace velafs::test

#if defined(__SANITIZE_THREAD__)
#define VELAFS_SEES_LOCKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VELAFS_SEES_LOCKS 0
#endif
#endif
#ifndef VELAFS_SEES_LOCKS
#define VELAFS_SEES_LOCKS 1
#endif

bool velafs::test::Scheduler::IsPossible() { return VELAFS_SEES_LOCKS != 0; }

#if VELAFS_SEES_LOCKS
// The linker puts these two around the program's own code.
extern "C" const char __executable_start;
extern "C" const char etext;

namespace {

using velafs::test::Scheduler;

// Locks that libraries take among themselves, as SQLite's, are no steps.
bool IsOurs(const void* caller) {
  return caller >= static_cast<const void*>(&__executable_start) &&
         caller < static_cast<const void*>(&etext);
}

// An actor tries until it has the lock; others wait in the kernel, as long as it takes.
template <typename Try, typename Wait>
int TakeLock(const void* caller, const Try& try_lock, const Wait& wait) {
  if (!Scheduler::IsActor()) {
    constexpr timespec kForever = {.tv_sec = 1'000'000'000, .tv_nsec = 0};
    return wait(&kForever);
  }
  if (IsOurs(caller)) Scheduler::Step();
  while (true) {
    const int result = try_lock();
    if (result != EBUSY) return result;
    Scheduler::WaitForOthers();
  }
}

}  // namespace

extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  return TakeLock(
      __builtin_return_address(0), [mutex] { return pthread_mutex_trylock(mutex); },
      [mutex](const timespec* until) {
        return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, until);
      });
}

extern "C" int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  return TakeLock(
      __builtin_return_address(0), [lock] { return pthread_rwlock_tryrdlock(lock); },
      [lock](const timespec* until) {
        return pthread_rwlock_clockrdlock(lock, CLOCK_MONOTONIC, until);
      });
}

extern "C" int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  return TakeLock(
      __builtin_return_address(0), [lock] { return pthread_rwlock_trywrlock(lock); },
      [lock](const timespec* until) {
        return pthread_rwlock_clockwrlock(lock, CLOCK_MONOTONIC, until);
      });
}
#endif
