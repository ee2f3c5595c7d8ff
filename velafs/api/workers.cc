#include "velafs/api/workers.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace velafs::api {
namespace {

constexpr auto kMaxIdle = std::chrono::seconds(10);

}  // namespace

bool Workers::MayRun(const Guest& guest) const {
  if (!guest) return true;
  return guests_running_ < limits_.guest_threads && LoadOf(*guest).running < limits_.threads_each;
}

bool Workers::MayWait(const Guest& guest) const {
  if (!guest) return ready_.size() < limits_.waiting;
  return waiting_.size() < limits_.guest_waiting && LoadOf(*guest).waiting < limits_.waiting_each;
}

Workers::Load Workers::LoadOf(uint32_t guest) const {
  const auto found = guests_.find(guest);
  return found == guests_.end() ? Load() : found->second;
}

bool Workers::Run(const Guest& guest, std::function<void()> job) {
  std::lock_guard lock(mutex_);
  JoinEnded();
  if (stop_) return false;
  if (MayRun(guest) && ready_.size() < limits_.waiting) {
    if (!HasThread()) return false;
    AddReady({guest, std::move(job)});
    return true;
  }
  if (!guest || !MayWait(guest)) return false;
  ++guests_[*guest].waiting;
  waiting_.push_back({guest, std::move(job)});
  return true;
}

// Whether there is a thread for one more job, maybe after others.
bool Workers::HasThread() {
  if (ready_.size() < idle_ || threads_.size() >= limits_.threads) return true;
  try {
    const auto self = threads_.emplace(threads_.end());
    *self = std::thread([this, self] { Work(self); });
  } catch (const std::system_error&) {
    threads_.pop_back();
    // The system gives no more threads: the existing ones run the job later.
  }
  return !threads_.empty();
}

void Workers::AddReady(Job job) {
  if (job.guest) {
    ++guests_running_;
    ++guests_[*job.guest].running;
  }
  ready_.push_back(std::move(job));
  changed_.notify_one();
}

void Workers::End(const Guest& guest) {
  if (!guest) return;
  --guests_running_;
  Load& load = guests_[*guest];
  --load.running;
  const auto next =
      std::ranges::find_if(waiting_, [this](const Job& job) { return MayRun(job.guest); });
  if (next != waiting_.end()) {
    Job job = std::move(*next);
    waiting_.erase(next);
    --guests_[*job.guest].waiting;
    AddReady(std::move(job));
  }
  if (load.running == 0 && load.waiting == 0) guests_.erase(*guest);
}

void Workers::JoinEnded() {
  for (std::thread& thread : ended_) thread.join();
  ended_.clear();
}

std::map<uint32_t, Workers::Load> Workers::Loads() {
  std::lock_guard lock(mutex_);
  return guests_;
}

void Workers::Stop() {
  std::unique_lock lock(mutex_);
  stop_ = true;
  changed_.notify_all();
  // A thread that has nothing more to do moves itself to those that have ended.
  changed_.wait(lock, [this] { return threads_.empty(); });
  JoinEnded();
}

void Workers::Work(std::list<std::thread>::iterator self) {
  std::unique_lock lock(mutex_);
  const auto is_called = [this] { return stop_ || !ready_.empty(); };
  while (true) {
    ++idle_;
    changed_.wait_for(lock, kMaxIdle, is_called);
    --idle_;
    if (ready_.empty()) break;
    const Job job = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    job.run();
    lock.lock();
    End(job.guest);
  }
  ended_.splice(ended_.end(), threads_, self);
  changed_.notify_all();
  lock.unlock();
  // Otherwise the process keeps the memory that its jobs have freed.
  malloc_trim(0);
}

}  // namespace velafs::api
