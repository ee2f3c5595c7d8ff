// A pool of threads that run jobs.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <thread>

#include "velafs/api/guest.h"

namespace velafs::api {

struct WorkerLimits {
  size_t threads = 256;  // each running verb has one; most wait
  size_t waiting = 256;
  // Of these, for guests: all of them together, and each.
  size_t guest_threads = 192;
  size_t guest_waiting = 192;
  size_t threads_each = 16;
  size_t waiting_each = 64;
};

// Starts a thread for a job if all are busy, up to a limit, since a verb may wait long for another
// one. Idle threads end, and free memory goes back to the system. Thread-safe.
//
// Jobs of guests are limited: in all, and of each guest. A guest's further jobs wait, and delay
// nobody else.
class Workers {
 public:
  using Guest = api::Guest;

  explicit Workers(const WorkerLimits& limits) : limits_(limits) {}
  ~Workers() { Stop(); }

  // A job must not throw. False if too many jobs wait, or after Stop: the job will not run.
  bool Run(const Guest& guest, std::function<void()> job);
  struct Load {
    size_t running = 0;  // or ready
    size_t waiting = 0;
  };
  // Of each guest who has any, by user id.
  std::map<uint32_t, Load> Loads();
  // Waits until every job has ended.
  void Stop();

 private:
  struct Job {
    Guest guest;
    std::function<void()> run;
  };

  void Work(std::list<std::thread>::iterator self);
  bool HasThread();
  bool MayRun(const Guest& guest) const;
  bool MayWait(const Guest& guest) const;
  Load LoadOf(uint32_t guest) const;
  void AddReady(Job job);
  void End(const Guest& guest);
  void JoinEnded();

  const WorkerLimits limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<Job> ready_;    // to be run by the next thread that is free
  std::deque<Job> waiting_;  // for others of their guest's, or of all guests', to end
  std::map<uint32_t, Load> guests_;
  size_t guests_running_ = 0;
  std::list<std::thread> threads_;
  std::list<std::thread> ended_;  // to be joined
  size_t idle_ = 0;
  bool stop_ = false;
};

}  // namespace velafs::api
