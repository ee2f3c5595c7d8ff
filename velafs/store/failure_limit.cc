#include "velafs/store/failure_limit.h"

#include <algorithm>
#include <string>
#include <utility>

namespace velafs::store {
namespace {

using catalog::AuditRow;

constexpr uint64_t kBurst = 20;
constexpr TimeNs kInterval = TimeNs{300} * 1'000'000'000;
// A user of a user namespace has many uids.
constexpr size_t kMaxUsers = 1000;
constexpr uint32_t kTooMany = UINT32_MAX;  // no user's

// With one more member in the JSON object that is the detail.
AuditRow WithFolded(AuditRow entry, uint64_t folded) {
  if (folded == 0 || !entry.detail.ends_with('}')) return entry;
  entry.detail.pop_back();
  entry.detail += (entry.detail == "{" ? "" : ",");
  entry.detail += "\"folded\":\"" + std::to_string(folded) + "\"}";
  return entry;
}

}  // namespace

bool Budget::HasAny(TimeNs now) {
  if (left_ == most_ || now < since_) since_ = now;  // the clock may have been set back
  const TimeNs grown = (now - since_) / interval_ns_;
  left_ += std::min(static_cast<uint64_t>(grown), most_ - left_);
  since_ += grown * interval_ns_;
  return left_ > 0;
}

bool Budget::IsFull(TimeNs now) const {
  return static_cast<uint64_t>(std::max(now - since_, TimeNs{0}) / interval_ns_) >= most_ - left_;
}

FailureLimit::User& FailureLimit::Find(uint32_t uid, TimeNs now) {
  if (const auto found = users_.find(uid); found != users_.end()) return found->second;
  if (users_.size() >= kMaxUsers) {
    std::erase_if(users_, [now](auto& user) {
      return user.second.folded == 0 && user.second.budget.IsFull(now);
    });
  }
  const uint32_t of = users_.size() < kMaxUsers ? uid : kTooMany;
  return users_.try_emplace(of, User{Budget(kBurst, kInterval)}).first->second;
}

std::optional<AuditRow> FailureLimit::Pass(AuditRow entry, TimeNs now) {
  User& user = Find(entry.uid, now);
  if (user.budget.HasAny(now) && all_.HasAny(now)) {
    user.budget.Take();
    all_.Take();
    return WithFolded(std::move(entry), std::exchange(user.folded, 0));
  }
  ++user.folded;
  user.last = std::move(entry);
  return std::nullopt;
}

std::vector<AuditRow> FailureLimit::TakeFolded(TimeNs now) {
  std::vector<AuditRow> rows;
  for (auto& [uid, user] : users_) {
    const bool is_end = now == INT64_MAX;
    if (user.folded == 0 || !(is_end || (user.budget.HasAny(now) && all_.HasAny(now)))) continue;
    if (!is_end) {
      user.budget.Take();
      all_.Take();
    }
    rows.push_back(WithFolded(std::move(user.last), std::exchange(user.folded, 0) - 1));
  }
  return rows;
}

std::map<uint32_t, uint64_t> FailureLimit::Folded() const {
  std::map<uint32_t, uint64_t> folded;
  for (const auto& [uid, user] : users_) {
    if (user.folded > 0) folded[uid] = user.folded;
  }
  return folded;
}

}  // namespace velafs::store
