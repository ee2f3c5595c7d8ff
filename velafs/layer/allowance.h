// How much more space the files of a branch may take under its quota.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace velafs::layer {

// Thread-safe. The rest is known from a count at some moment, less what was taken since. If it does
// not suffice, the caller counts anew.
class Allowance {
 public:
  explicit Allowance(std::optional<uint64_t> quota_bytes) { SetQuota(quota_bytes); }

  void SetQuota(std::optional<uint64_t> quota_bytes) {
    quota_bytes_ = quota_bytes.value_or(kNoQuota);
    left_bytes_ = 0;
  }
  // While closed, nothing can be taken, whatever the quota is.
  void Close(bool closed) { is_closed_ = closed; }

  // False if anything may be taken.
  bool IsLimited() const { return is_closed_ || quota_bytes_ != kNoQuota; }
  // Takes so many bytes; false, and takes none, if fewer are left.
  bool Take(uint64_t bytes) {
    if (bytes == 0 || !IsLimited()) return true;
    if (is_closed_) return false;
    uint64_t left = left_bytes_;
    while (left >= bytes) {
      if (left_bytes_.compare_exchange_weak(left, left - bytes)) return true;
    }
    return false;
  }
  // The result of a count: so many bytes are in use now.
  void SetUsed(uint64_t bytes) {
    const uint64_t quota = quota_bytes_;
    left_bytes_ = quota > bytes ? quota - bytes : 0;
  }

 private:
  static constexpr uint64_t kNoQuota = UINT64_MAX;
  std::atomic<uint64_t> quota_bytes_;
  std::atomic<uint64_t> left_bytes_ = 0;
  std::atomic<bool> is_closed_ = false;
};

}  // namespace velafs::layer
