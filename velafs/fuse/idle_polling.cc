#include "velafs/fuse/idle_polling.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace velafs::fuse {
namespace {

constexpr int32_t kPollUs = 0;
constexpr int32_t kAnyUs = -1;  // PM_QOS_DEFAULT_VALUE: as if nobody had asked

std::string FirstLine(const std::filesystem::path& file) {
  std::string line;
  std::getline(std::ifstream(file), line);
  return line;
}

// Whether a battery feeds the machine. One of a mouse has the scope "Device".
bool FeedsMachine(const std::filesystem::path& supply) {
  return FirstLine(supply / "type") == "Battery" && FirstLine(supply / "scope") != "Device" &&
         FirstLine(supply / "status") == "Discharging";
}

}  // namespace

std::unique_ptr<IdlePolling> IdlePolling::Start(const IdlePollingFiles& files) {
  if (FirstLine(files.driver) != "haltpoll") return nullptr;
  os::UniqueFd latency(open(files.latency.c_str(), O_WRONLY | O_CLOEXEC));
  if (!latency) return nullptr;
  return std::unique_ptr<IdlePolling>(new IdlePolling(std::move(latency), files.power_supplies));
}

IdlePolling::IdlePolling(os::UniqueFd latency, std::string power_supplies)
    : latency_(std::move(latency)), power_supplies_(std::move(power_supplies)) {
  thread_.emplace(PeriodicThread::kUntilWoken, [this] { return Look(); });
}

IdlePolling::~IdlePolling() {
  thread_.reset();
  if (is_polling_) Ask(kAnyUs);
}

void IdlePolling::CountBurst() {
  const auto now = std::chrono::steady_clock::now();
  std::lock_guard lock(lock_);
  const bool is_fast = now - burst_ended_ <= kBurstTime;
  burst_ended_ = now;
  if (!is_fast || is_busy_) return;
  is_busy_ = true;
  thread_->Wake();
}

PeriodicThread::Wait IdlePolling::Look() {
  const bool is_on_battery = IsOnBattery();
  std::lock_guard lock(lock_);
  const uint64_t before = std::exchange(looked_at_, requests_.load());
  const bool goes_on =
      is_busy_ && !is_on_battery && (!is_polling_ || looked_at_ - before >= kBurst);
  if (goes_on != is_polling_) Ask(goes_on ? kPollUs : kAnyUs);
  is_polling_ = is_busy_ = goes_on;
  return goes_on ? PeriodicThread::Wait(kBurstTime) : PeriodicThread::kUntilWoken;
}

bool IdlePolling::IsOnBattery() {
  const auto now = std::chrono::steady_clock::now();
  if (now - battery_looked_at_ < kBatteryTime) return is_on_battery_;
  battery_looked_at_ = now;
  std::error_code unreadable;  // then there is none
  const std::filesystem::directory_iterator supplies(power_supplies_, unreadable);
  is_on_battery_ = std::any_of(begin(supplies), end(supplies), FeedsMachine);
  return is_on_battery_;
}

void IdlePolling::Ask(int32_t latency_us) {
  // Where the kernel will not, requests take as long as they did.
  static_cast<void>(!write(latency_.get(), &latency_us, sizeof latency_us));
}

}  // namespace velafs::fuse
