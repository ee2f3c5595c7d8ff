// Writes the audit log's entries of verbs.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "velafs/base/status.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/caller.h"

namespace velafs::api {

// The arguments of a verb that its entry shows. Arguments that are not named here stay out of the
// log: they may be long, or secret.
struct Logged {
  std::array<std::string_view, 2> subjects = {};
  std::string_view source = {};
  std::array<std::string_view, 8> detail = {};
  std::string_view keys_of = {};  // into the detail too, but of this object only the keys
  std::string_view outcome = {};  // and this part of the verb's answer
};

// One call of such a verb, from its beginning. One thread.
class AuditedCall {
 public:
  // All is borrowed.
  AuditedCall(const store::Caller& caller, std::string_view verb, const Logged& logged,
              const nlohmann::json& arguments);

  // Adds the entry, durably, and returns the answer: `outcome`, or a failure if the verb is done
  // but its entry could not be written. If the disk is full, or the verb failed, the entry goes to
  // the daemon's log instead.
  Result<nlohmann::json> Conclude(store::AuditLog& log, Result<nlohmann::json> outcome) const;

 private:
  Status Append(store::AuditLog& log, const Result<nlohmann::json>& outcome) const;

  const store::Caller& caller_;
  const std::string_view verb_;
  const Logged& logged_;
  const nlohmann::json& arguments_;
  const TimeNs began_at_ = NowNs();
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace velafs::api
