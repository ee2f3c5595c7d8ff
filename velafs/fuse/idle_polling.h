// Keeps the idle processors of a virtual machine from halting while requests come fast.
//
// A request wakes the daemon, and its answer wakes the caller. If the processor that must run it
// has halted, either wake-up is an exit to the machine's host, which takes longer than all the rest
// of the request. The kernel can have idle processors poll for work instead; a program asks for
// that through /dev/cpu_dma_latency (PM QoS). It takes processor time of the host, so this asks
// only
// * if the kernel's cpuidle driver is "haltpoll", the driver of a virtual machine with dedicated
//   processors, which does not poll unless it is asked to;
// * while the machine does not run on a battery;
// * while there are at least 500 requests a second, and a tenth of a second longer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "velafs/base/periodic_thread.h"
#include "velafs/os/unique_fd.h"

namespace velafs::fuse {

// The kernel's; tests have others.
struct IdlePollingFiles {
  std::string driver = "/sys/devices/system/cpu/cpuidle/current_driver";
  std::string latency = "/dev/cpu_dma_latency";
  std::string power_supplies = "/sys/class/power_supply";
};

class IdlePolling {
 public:
  // Null where it would be of no use, and where this user may not ask for it: only root may.
  static std::unique_ptr<IdlePolling> Start(const IdlePollingFiles& files = {});
  // Leaves the machine as it was; so does the death of the process.
  ~IdlePolling();

  // Call it for each request. Any thread; takes some nanoseconds.
  void CountRequest() {
    if (++requests_ % kBurst == 0) CountBurst();
  }

  static constexpr uint64_t kBurst = 50;  // requests
  static constexpr std::chrono::milliseconds kBurstTime{100};
  static constexpr std::chrono::seconds kBatteryTime{10};  // between looks at the battery

 private:
  IdlePolling(os::UniqueFd latency, std::string power_supplies);
  void CountBurst();
  // Asks for polling in a burst, and stops asking after it.
  PeriodicThread::Wait Look();
  // As it was at most kBatteryTime ago. For the thread alone: firmware may take its time to answer.
  bool IsOnBattery();
  // The longest, in us, that the wake-up of a processor may take.
  void Ask(int32_t latency_us);

  const os::UniqueFd latency_;
  const std::string power_supplies_;
  std::atomic<uint64_t> requests_ = 0;

  std::mutex lock_;
  std::chrono::steady_clock::time_point burst_ended_;  // with the next two, guarded by lock_
  bool is_busy_ = false;
  bool is_polling_ = false;
  uint64_t looked_at_ = 0;  // requests, when the thread last looked
  std::chrono::steady_clock::time_point battery_looked_at_;
  bool is_on_battery_ = false;
  std::optional<PeriodicThread> thread_;  // last: it uses the members above
};

}  // namespace velafs::fuse
