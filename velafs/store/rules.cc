#include "velafs/store/rules.h"

namespace velafs::store {

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

Status NoBranch(const std::string& name) {
  return NotFound("there is no branch " + Quoted(name), "`velafs list` shows the branches");
}

bool IsProtected(const catalog::BranchRow& branch, TimeNs now) {
  return branch.is_protected && (!branch.protected_until || *branch.protected_until > now);
}

Status CheckNotProtected(const catalog::BranchRow& branch) {
  if (!IsProtected(branch, NowNs())) return {};
  return Refused("branch " + Quoted(branch.name) + " is protected",
                 "lift that first: velafs unprotect " + branch.name);
}

Status CheckLabel(const std::string& key) {
  // The command line tells labels to set from those to remove by these.
  if (!key.empty() && key.find('=') == std::string::npos && key.back() != '-') return {};
  return UsageError(Quoted(key) + " is not the key of a label",
                    "a key is not empty, has no \"=\" and does not end in \"-\"");
}

Result<std::optional<TimeNs>> TimeAfter(TimeNs now, std::optional<std::chrono::seconds> duration) {
  if (!duration) return std::optional<TimeNs>();
  const auto seconds = duration->count();
  constexpr TimeNs kNsPerSecond = 1'000'000'000;
  if (seconds <= 0 || seconds > (INT64_MAX - now) / kNsPerSecond) {
    return UsageError("a duration of " + std::to_string(seconds) + " seconds is out of range");
  }
  return std::optional<TimeNs>(now + seconds * kNsPerSecond);
}

}  // namespace velafs::store
