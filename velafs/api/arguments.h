// Typed access to the JSON arguments of a verb.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/base/units.h"

namespace velafs::api {

// Each getter returns the argument of that name, or an empty value when it is missing (null counts
// as missing) or wrong. After the last getter call Finish: it returns the first failure, or kUsage
// for an argument that no getter asked for. The values mean nothing unless Finish is ok. One
// thread.
class Arguments {
 public:
  // `object` must outlive this.
  explicit Arguments(const nlohmann::json& object);

  std::string Required(const std::string& name);
  std::optional<std::string> Text(const std::string& name);
  bool Flag(const std::string& name);  // false when missing
  std::optional<std::chrono::seconds> Duration(const std::string& name);
  // Required; empty for "none".
  std::optional<std::chrono::seconds> DurationOrNone(const std::string& name);
  std::optional<TimeNs> Time(const std::string& name);     // RFC 3339
  std::optional<uint64_t> Count(const std::string& name);  // 1 or more
  // As in "10G".
  std::optional<uint64_t> Size(const std::string& name);
  std::optional<uint64_t> SizeOrNone(const std::string& name);  // required; empty for "none"
  std::optional<uint16_t> Port(const std::string& name);
  std::map<std::string, std::string> TextMap(const std::string& name);
  std::vector<std::string> Texts(const std::string& name);
  // An array of objects; null when missing. They live as long as the arguments.
  const nlohmann::json* Objects(const std::string& name);

  Status Finish();

 private:
  // The value, or nullptr when it is missing.
  const nlohmann::json* Find(const std::string& name);
  template <typename T>
  std::optional<T> Parsed(const std::string& name, Result<T> (*parse)(std::string_view));
  void Fail(Status failure);
  void FailType(const std::string& name, const std::string& wanted);

  const nlohmann::json& object_;
  std::set<std::string> asked_for_;
  Status failure_;
};

}  // namespace velafs::api
