// Lets the threads of a test go on one at a time, from step to step, in an order that is the same
// each time it is asked for.
//
// A step begins before a thread takes a lock. Every operation on a test::VolatileStorage and every
// transaction of a catalog takes one, so each of them is a step at least. A thread that finds a
// lock taken waits until others have gone on; if all of them wait, the process ends and says so.
// To see the locks, the program has pthread_mutex_lock and the like of its own (scheduler.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace velafs::test {

// One run of some actors. They must wait for each other by locks alone: a condition variable, or a
// thread of their own that they wait for, would hold up all.
class Scheduler {
 public:
  // An order drawn from a seed: an actor goes on for a while, then another one does.
  explicit Scheduler(unsigned seed);
  // The first actor goes on for so many steps, then all others to their ends, then the first.
  static Scheduler WithPauseAfter(uint64_t steps);
  ~Scheduler();
  Scheduler(Scheduler&&) noexcept;

  // False in a build that does not have locks of its own, as ThreadSanitizer's.
  static bool IsPossible();

  struct Actor {
    std::string name;
    std::function<void()> body;
  };
  // Returns once all have come to their ends. Once.
  void Run(std::vector<Actor> actors);

  uint64_t steps() const;
  // The same for the same interleaving.
  uint64_t fingerprint() const;
  // WithPauseAfter: whether the first actor had that many steps.
  bool has_paused() const;

  // For the locks: the calling thread is an actor; it may be another one's turn; it must be another
  // one's turn, for the caller cannot go on.
  static bool IsActor();
  static void Step();
  static void WaitForOthers();

 private:
  struct State;
  explicit Scheduler(std::optional<uint64_t> pause_after, unsigned seed);
  std::unique_ptr<State> state_;
};

}  // namespace velafs::test
