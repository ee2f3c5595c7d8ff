#include "velafs/fuse/idle_polling.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/os/scratch_directory.h"

namespace velafs::fuse {
namespace {

using namespace std::chrono_literals;
using Asked = std::vector<int32_t>;

struct PollingFixture {
  PollingFixture() {
    std::ofstream(files.driver) << "haltpoll\n";
    std::ofstream(files.latency).flush();
  }

  // All that the kernel was asked for, in microseconds.
  Asked WhatWasAsked() const {
    Asked asked;
    std::ifstream file(files.latency, std::ios::binary);
    for (int32_t value = 0; file.read(reinterpret_cast<char*>(&value), sizeof value);) {
      asked.push_back(value);
    }
    return asked;
  }
  // Whether the kernel has been asked that often, while requests come, each after `pause`.
  bool Reaches(size_t times, IdlePolling& polling, std::chrono::microseconds pause) const {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (std::chrono::steady_clock::now() < deadline) {
      if (WhatWasAsked().size() >= times) return true;
      polling.CountRequest();
      std::this_thread::sleep_for(pause);
    }
    return false;
  }

  void AddBattery(const std::string& name, const std::string& status,
                  const std::string& scope) const {
    const std::filesystem::path battery = files.power_supplies + "/" + name;
    std::filesystem::create_directories(battery);
    std::ofstream(battery / "type") << "Battery\n";
    std::ofstream(battery / "status") << status << "\n";
    std::ofstream(battery / "scope") << scope << "\n";
  }

  test::ScratchDirectory scratch;
  const IdlePollingFiles files{.driver = scratch / "driver",
                               .latency = scratch / "latency",
                               .power_supplies = scratch / "supplies"};
};

TEST_CASE_FIXTURE(PollingFixture, "idle processors poll while requests come fast, and no longer") {
  const auto polling = IdlePolling::Start(files);
  REQUIRE(polling);
  CHECK(Reaches(1, *polling, 0us));
  CHECK(Reaches(2, *polling, IdlePolling::kBurstTime));
  CHECK(Reaches(3, *polling, 0us));
  const Asked asked = WhatWasAsked();
  for (size_t i = 0; i < asked.size(); ++i) CHECK(asked[i] == (i % 2 == 0 ? 0 : -1));
}

TEST_CASE_FIXTURE(PollingFixture, "slow requests ask for nothing") {
  const auto polling = IdlePolling::Start(files);
  REQUIRE(polling);
  // The second burst is complete when the first is long over.
  for (uint64_t i = 0; i < 2 * IdlePolling::kBurst; ++i) {
    polling->CountRequest();
    std::this_thread::sleep_for(2 * IdlePolling::kBurstTime / IdlePolling::kBurst);
  }
  CHECK(WhatWasAsked().empty());
}

TEST_CASE_FIXTURE(PollingFixture, "nothing polls on a battery") {
  AddBattery("used", "Discharging", "System");
  const auto polling = IdlePolling::Start(files);
  REQUIRE(polling);
  for (uint64_t i = 0; i < 100 * IdlePolling::kBurst; ++i) polling->CountRequest();
  std::this_thread::sleep_for(2 * IdlePolling::kBurstTime);
  CHECK(WhatWasAsked().empty());
}

TEST_CASE_FIXTURE(PollingFixture, "a battery that does not feed the machine is no reason") {
  AddBattery("mouse", "Discharging", "Device");
  AddBattery("loading", "Charging", "System");
  const auto polling = IdlePolling::Start(files);
  REQUIRE(polling);
  CHECK(Reaches(1, *polling, 0us));
}

TEST_CASE_FIXTURE(PollingFixture, "a mount that ends busy leaves the machine as it was") {
  auto polling = IdlePolling::Start(files);
  REQUIRE(polling);
  CHECK(Reaches(1, *polling, 0us));
  polling.reset();
  CHECK(WhatWasAsked().back() == -1);
}

TEST_CASE_FIXTURE(PollingFixture, "where it is of no use, or not allowed, nothing is asked for") {
  std::ofstream(files.driver) << "intel_idle\n";
  CHECK_FALSE(IdlePolling::Start(files));
  CHECK_FALSE(IdlePolling::Start({.driver = scratch / "none", .latency = files.latency}));
  std::ofstream(files.driver) << "haltpoll\n";
  CHECK_FALSE(IdlePolling::Start({.driver = files.driver, .latency = scratch / "none"}));
}

}  // namespace
}  // namespace velafs::fuse
