// How many failed calls leave an entry in the audit log.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "velafs/base/units.h"
#include "velafs/catalog/rows.h"

namespace velafs::store {

// A number of something that grows with time up to a most.
class Budget {
 public:
  Budget(uint64_t most, TimeNs interval_ns) : most_(most), interval_ns_(interval_ns), left_(most) {}
  bool HasAny(TimeNs now);
  void Take() { --left_; }
  bool IsFull(TimeNs now) const;

 private:
  const uint64_t most_;
  const TimeNs interval_ns_;
  uint64_t left_;
  TimeNs since_ = 0;  // counts that have grown by then are written
};

// Each user's failures, and all together, up to a burst and then one an interval; others are folded
// into the next that is let through. Externally synchronised.
class FailureLimit {
 public:
  // The entry, with the number of folded ones, if it should be written; else it is counted.
  std::optional<catalog::AuditRow> Pass(catalog::AuditRow entry, TimeNs now);
  // For each user who may have entries again, the last one that was only counted.
  std::vector<catalog::AuditRow> TakeFolded(TimeNs now);
  // By user id, how many are counted and have no entry yet.
  std::map<uint32_t, uint64_t> Folded() const;

 private:
  struct User {
    Budget budget;
    uint64_t folded = 0;
    catalog::AuditRow last = {};  // of those
  };
  User& Find(uint32_t uid, TimeNs now);

  static constexpr TimeNs kSecond = 1'000'000'000;
  std::map<uint32_t, User> users_;
  Budget all_{200, 60 * kSecond};
};

}  // namespace velafs::store
