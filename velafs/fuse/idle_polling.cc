#include "velafs/fuse/idle_polling.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <utility>

namespace velafs::fuse {
namespace {

constexpr int32_t kPollUs = 0;
constexpr int32_t kAnyUs = -1;  // PM_QOS_DEFAULT_VALUE: as if nobody had asked

}  // namespace

std::unique_ptr<IdlePolling> IdlePolling::Start(const IdlePollingFiles& files) {
  std::string driver;
  std::getline(std::ifstream(files.driver), driver);
  if (driver != "haltpoll") return nullptr;
  os::UniqueFd latency(open(files.latency.c_str(), O_WRONLY | O_CLOEXEC));
  if (!latency) return nullptr;
  return std::unique_ptr<IdlePolling>(new IdlePolling(std::move(latency)));
}

IdlePolling::IdlePolling(os::UniqueFd latency)
    : latency_(std::move(latency)), thread_([this] { Run(); }) {}

IdlePolling::~IdlePolling() {
  {
    std::lock_guard lock(lock_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void IdlePolling::CountBurst() {
  const auto now = std::chrono::steady_clock::now();
  std::lock_guard lock(lock_);
  const bool is_fast = now - burst_ended_ <= kBurstTime;
  burst_ended_ = now;
  if (!is_fast || is_busy_) return;
  is_busy_ = true;
  changed_.notify_one();
}

void IdlePolling::Run() {
  std::unique_lock lock(lock_);
  while (!stop_) {
    changed_.wait(lock, [this] { return is_busy_ || stop_; });
    if (stop_) return;
    Ask(kPollUs);
    uint64_t before = 0;
    do {
      before = requests_;
      changed_.wait_for(lock, kBurstTime, [this] { return stop_; });
    } while (!stop_ && requests_ - before >= kBurst);
    Ask(kAnyUs);
    is_busy_ = false;
  }
}

void IdlePolling::Ask(int32_t latency_us) {
  // Where the kernel will not, requests take as long as they did.
  static_cast<void>(!write(latency_.get(), &latency_us, sizeof latency_us));
}

}  // namespace velafs::fuse
