// Counts of this process's answers since its start, for a monitoring system.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace velafs {

// Thread-safe. Numbers that are read together may be of slightly different moments.
struct ProcessCounts {
  // The longest fsync that is counted in each place of `syncs`; the last place has all others.
  static constexpr std::array<uint64_t, 7> kSyncBoundsUs = {100,     1'000,     5'000,     25'000,
                                                            100'000, 1'000'000, 10'000'000};

  std::atomic<uint64_t> requests = 0;
  std::atomic<uint64_t> io_errors = 0;   // EIO
  std::atomic<uint64_t> full_disk = 0;   // ENOSPC
  std::atomic<uint64_t> over_quota = 0;  // EDQUOT
  std::atomic<uint64_t> failed_branches = 0;
  std::array<std::atomic<uint64_t>, kSyncBoundsUs.size() + 1> syncs = {};
  std::atomic<uint64_t> sync_us = 0;

  void CountSync(std::chrono::steady_clock::duration took);
  // For a request that failed; a healthy filesystem gives the other errors as ordinary answers.
  void CountError(int error_number);
};

ProcessCounts& CountsOfProcess();

}  // namespace velafs
