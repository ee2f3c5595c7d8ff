#include "velafs/store/govern/policies.h"

#include <grp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <regex>
#include <sstream>
#include <string_view>

#include "velafs/base/cpus.h"
#include "velafs/base/nearest.h"
#include "velafs/base/units.h"
#include "velafs/chunk/codec.h"
#include "velafs/store/govern/quota_size.h"
#include "velafs/store/rules.h"
#include "velafs/store/schedule.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;
using catalog::SettingRow;
using catalog::SettingScope;

constexpr char kNetwork[] = "network";
constexpr char kApproved[] = "approved";
constexpr char kApprovedOnly[] = "approved_sources_only";
constexpr char kUserGroup[] = "user_group";
constexpr char kStateOf[] = "state_of";  // of a bookmark
constexpr char kRan[] = "ran";           // of a branch

Status CheckSealAfter(const std::string& value) {
  return value == "never" ? Status() : ParseDuration(value).status();
}

Status CheckDuration(const std::string& value) { return ParseDuration(value).status(); }

Status CheckCount(const std::string& value) {
  uint64_t count = 0;
  const char* const end = value.data() + value.size();
  const auto parsed = std::from_chars(value.data(), end, count);
  if (parsed.ec == std::errc() && parsed.ptr == end) return {};
  return UsageError(Quoted(value) + " is not a whole number");
}

Status CheckPositive(const std::string& value) {
  VELAFS_TRY(CheckCount(value));
  return value.find_first_not_of('0') == std::string::npos
             ? UsageError("0 is not allowed", "the least is 1")
             : Status();
}

Status CheckSwitch(const std::string& value) {
  if (value == "on" || value == "off") return {};
  return UsageError(Quoted(value) + " is not on or off");
}

Status CheckCompression(const std::string& value) {
  return chunk::ParseCompression(value).status();
}

Status CheckOnExpire(const std::string& value) {
  if (ValueOf(kOnExpire, value)) return {};
  return UsageError(Quoted(value) + " is not delete, bookmark or keep");
}

Status CheckExpireRunning(const std::string& value) {
  if (value == "stop" || value == "keep") return {};
  return UsageError(Quoted(value) + " is neither stop nor keep");
}

Status CheckAutostart(const std::string& value) {
  if (value == "on" || value == "off" || value == "last") return {};
  return UsageError(Quoted(value) + " is not on, off or last");
}

Status CheckNetwork(const std::string& value) {
  if (value == "isolated" || value == "loopback" || value == "host") return {};
  return UsageError(Quoted(value) + " is not isolated, loopback or host");
}

// Names with commas between, each as a preload setting may have it.
Status CheckLibraries(const std::string& value) {
  std::istringstream names(value + ",");
  for (std::string name; std::getline(names, name, ',');) {
    const bool is_one_word = name.find_first_of(" \t\n\"'") == std::string::npos;
    if (name.empty() || !is_one_word) {
      return UsageError(Quoted(value) + " is not a list of libraries with commas between them");
    }
  }
  return {};
}

Status CheckKeep(const std::string& value) { return ParseKeep(value).status(); }

Status CheckQuota(const std::string& value) {
  VELAFS_ASSIGN(const uint64_t bytes, ParseSize(value));
  return CheckQuotaSize(bytes);
}

Status CheckCpus(const std::string& value) { return ParseCpus(value).status(); }

Status CheckMemory(const std::string& value) {
  constexpr uint64_t kLeastBytes = uint64_t{64} << 20;
  VELAFS_ASSIGN(const uint64_t bytes, ParseSize(value));
  if (bytes >= kLeastBytes) return {};
  return UsageError(Quoted(value) + " is too little for a server", "the least is 64M");
}

Status CheckPattern(const std::string& value) try {
  std::regex pattern(value, std::regex::ECMAScript);
  return {};
} catch (const std::regex_error& error) {
  return UsageError(Quoted(value) + " is not a regular expression: " + error.what());
}

Status CheckGroup(const std::string& value) {
  std::vector<char> buffer(64 * 1024);
  group entry{};
  group* found = nullptr;
  getgrnam_r(value.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr) return {};
  return UsageError("there is no group " + Quoted(value));
}

// A role or a database, as PostgreSQL lets them be called.
Status CheckPostgresName(const std::string& value) {
  constexpr size_t kLongest = 63;
  if (!value.empty() && value.size() <= kLongest) return {};
  return UsageError(Quoted(value) + " is not the name of a role or a database");
}

Status CheckInspectUser(const std::string& value) {
  VELAFS_ASSIGN(const catalog::FileOwner user, FindUser(value));
  return user.uid != 0 ? Status() : UsageError("PostgreSQL does not run as root");
}

struct KnownPolicy {
  std::string_view key;
  Status (*check)(const std::string& value);
  std::string_view by_default = {};
  bool for_store_only = false;
};

// By key.
constexpr std::array kPolicies = {
    KnownPolicy{"admin_group", CheckGroup, "", true},
    KnownPolicy{"allow_libraries", CheckLibraries},
    KnownPolicy{kApprovedOnly, CheckSwitch, "off"},
    KnownPolicy{"audit_keep", CheckDuration, "", true},
    KnownPolicy{"audit_max_entries", CheckPositive, "", true},
    KnownPolicy{"autostart", CheckAutostart, "off"},
    KnownPolicy{"bookmark_every", CheckDuration},
    KnownPolicy{"bookmark_keep", CheckKeep, "24h,7d"},
    KnownPolicy{"compression", CheckCompression, "zstd", true},
    KnownPolicy{"cpus", CheckCpus},
    KnownPolicy{"default_database", CheckPostgresName},
    KnownPolicy{"default_user", CheckPostgresName},
    KnownPolicy{"expire_running", CheckExpireRunning, "stop"},
    KnownPolicy{"idle_stop", CheckDuration},
    KnownPolicy{"inspect_user", CheckInspectUser},
    KnownPolicy{"lease", CheckDuration},
    KnownPolicy{"max_branches", CheckCount},
    KnownPolicy{"max_branches_per_owner", CheckCount},
    KnownPolicy{"max_ttl", CheckDuration},
    KnownPolicy{"memory", CheckMemory},
    KnownPolicy{"name_pattern", CheckPattern},
    KnownPolicy{kNetwork, CheckNetwork, "host"},
    KnownPolicy{"on_expire", CheckOnExpire, "delete"},
    KnownPolicy{"quota", CheckQuota},
    KnownPolicy{"quota_per_owner", CheckQuota, "", true},
    KnownPolicy{"seal_after", CheckSealAfter, "24h", true},
    KnownPolicy{"tcp", CheckSwitch, "off"},
    KnownPolicy{"trash_keep", CheckDuration, "7d", true},
    KnownPolicy{"ttl", CheckDuration},
    KnownPolicy{kUserGroup, CheckGroup, "", true},
    KnownPolicy{"viewer_group", CheckGroup, "", true},
};

const KnownPolicy* FindKnown(const std::string& key) {
  const auto* const found = std::ranges::find(kPolicies, key, &KnownPolicy::key);
  return found == kPolicies.end() ? nullptr : found;
}

Status CheckPolicy(const PolicyPlace& place, const std::string& key,
                   const std::optional<std::string>& value) {
  const KnownPolicy* const known = FindKnown(key);
  if (known == nullptr) {
    std::string list;
    std::vector<std::string> keys;
    for (const KnownPolicy& one : kPolicies) {
      keys.emplace_back(one.key);
      list += " " + keys.back();
    }
    return UsageError("there is no policy " + Quoted(key),
                      DidYouMean(key, keys, "policies are:" + list));
  }
  if (known->for_store_only && place.scope != SettingScope::kStore) {
    return UsageError("policy " + Quoted(key) + " applies to a whole store",
                      "set it with --of-store");
  }
  if (!value) return {};
  return known->check(*value).WithContext("policy " + Quoted(key));
}

}  // namespace

Status Policies::Load() {
  VELAFS_ASSIGN(const std::vector<SettingRow> rows, catalog_.Read(&catalog::Reader::Settings));
  MutexLock lock(mutex_);
  for (const SettingRow& row : rows) settings_[{row.scope, row.subject, row.key}] = row.value;
  return {};
}

std::optional<std::string> Policies::Find(const PolicyPlace& place, const std::string& key) const {
  const auto found = settings_.find({place.scope, place.subject, key});
  return found == settings_.end() ? std::nullopt : std::optional(found->second);
}

// Where users other than the owner come in, production's data is not for the taking.
std::string Policies::DefaultOf(const std::string& key) const {
  if (key == kApprovedOnly && Find(PolicyPlace::OfStore(), kUserGroup)) return "on";
  return std::string(FindKnown(key)->by_default);
}

PolicyValue Policies::FindNearest(const std::string& key, const BranchRow* branch) const {
  if (branch != nullptr) {
    if (const auto own = Find(PolicyPlace::OfBranch(*branch), key))
      return {key, *own, SettingScope::kBranch};
    if (const auto tree = Find(PolicyPlace::OfSource(*branch), key))
      return {key, *tree, SettingScope::kSource};
  }
  if (const auto all = Find(PolicyPlace::OfStore(), key)) return {key, *all, SettingScope::kStore};
  return {key, DefaultOf(key), {}};
}

PolicyValue Policies::Nearest(const std::string& key, const BranchRow* branch) const {
  VELAFS_CHECK(FindKnown(key) != nullptr);
  MutexLock lock(mutex_);
  return FindNearest(key, branch);
}

std::string Policies::Get(const std::string& key, const BranchRow* branch) const {
  return Nearest(key, branch).value;
}

std::vector<PolicyValue> Policies::Effective(const BranchRow* branch) const {
  std::vector<PolicyValue> values;
  MutexLock lock(mutex_);
  for (const KnownPolicy& known : kPolicies) {
    values.push_back(FindNearest(std::string(known.key), branch));
  }
  return values;
}

std::optional<std::chrono::seconds> Policies::Duration(const std::string& key,
                                                       const BranchRow* branch) const {
  const Result<std::chrono::seconds> duration = ParseDuration(Get(key, branch));
  return duration.ok() ? std::optional(*duration) : std::nullopt;
}

std::optional<uint64_t> Policies::Size(const std::string& key, const BranchRow* branch) const {
  const Result<uint64_t> size = ParseSize(Get(key, branch));
  return size.ok() ? std::optional(*size) : std::nullopt;
}

Status Policies::Check(const std::map<PolicyPlace, Values>& values) {
  for (const auto& [place, of_place] : values) {
    for (const auto& [key, value] : of_place) VELAFS_TRY(CheckPolicy(place, key, value));
  }
  return {};
}

Status Policies::Set(const std::map<PolicyPlace, Values>& values) {
  VELAFS_TRY(Check(values));
  return Put(values);
}

std::map<std::string, std::string> Policies::SetAt(const PolicyPlace& place) const {
  std::map<std::string, std::string> values;
  MutexLock lock(mutex_);
  for (const KnownPolicy& known : kPolicies) {
    const std::string key(known.key);
    if (auto value = Find(place, key)) values[key] = *std::move(value);
  }
  return values;
}

bool Policies::IsApproved(const BranchRow& branch, const catalog::BookmarkRow* bookmark) const {
  if (bookmark != nullptr && IsApproved(*bookmark)) return true;
  if (bookmark != nullptr && IsOfOther(*bookmark)) return false;
  MutexLock lock(mutex_);
  return Find(PolicyPlace::OfBranch(branch), kApproved).has_value();
}

bool Policies::IsApproved(const catalog::BookmarkRow& bookmark) const {
  MutexLock lock(mutex_);
  return Find(PolicyPlace::OfBookmark(bookmark), kApproved).has_value();
}

SettingRow Policies::StateOfOther(BookmarkId bookmark, const std::string& of) {
  return {SettingScope::kBookmark, bookmark.value, kStateOf, of};
}

void Policies::Learn(const SettingRow& row) {
  MutexLock lock(mutex_);
  settings_[{row.scope, row.subject, row.key}] = row.value;
}

bool Policies::IsOfOther(const catalog::BookmarkRow& bookmark) const {
  MutexLock lock(mutex_);
  return Find(PolicyPlace::OfBookmark(bookmark), kStateOf).has_value();
}

Status Policies::SetApproved(const PolicyPlace& place, bool approved) {
  return Put({{place, {{kApproved, approved ? std::optional<std::string>("on") : std::nullopt}}}});
}

bool Policies::HasRun(const BranchRow& branch) const {
  MutexLock lock(mutex_);
  return Find(PolicyPlace::OfBranch(branch), kRan).has_value();
}

Status Policies::SetHasRun(const std::vector<BranchRow>& branches, bool has_run) {
  std::map<PolicyPlace, Values> values;
  const std::optional<std::string> value =
      has_run ? std::optional<std::string>("on") : std::nullopt;
  for (const BranchRow& branch : branches) values[PolicyPlace::OfBranch(branch)] = {{kRan, value}};
  return Put(values);
}

std::optional<SettingRow> Policies::IsolationOf(InodeNumber root) {
  MutexLock lock(mutex_);
  if (FindNearest(kNetwork, nullptr).from) return std::nullopt;
  SettingRow row = Isolated({SettingScope::kSource, root.value});
  settings_[{row.scope, row.subject, row.key}] = row.value;
  return row;
}

SettingRow Policies::Isolated(const PolicyPlace& place) {
  return {place.scope, place.subject, kNetwork, "isolated"};
}

void Policies::Forget(const PolicyPlace& place) {
  MutexLock lock(mutex_);
  std::erase_if(settings_, [&place](const auto& setting) {
    const auto& [scope, subject, key] = setting.first;
    return scope == place.scope && subject == place.subject;
  });
}

// Memory follows the disk: what is not durable does not hold yet.
Status Policies::Put(const std::map<PolicyPlace, Values>& values) {
  const auto for_each = [&values](const auto& visit) -> Status {
    for (const auto& [place, of_place] : values) {
      for (const auto& [key, value] : of_place) VELAFS_TRY(visit(place, key, value));
    }
    return {};
  };
  MutexLock change(change_mutex_);
  VELAFS_ASSIGN(const catalog::CommitSequence sequence,
                catalog_.Write([&](catalog::Writer& writer) {
                  return for_each([&](const PolicyPlace& place, const std::string& key,
                                      const std::optional<std::string>& value) {
                    const SettingRow row{place.scope, place.subject, key, value.value_or("")};
                    return value ? writer.PutSetting(row) : writer.RemoveSetting(row);
                  });
                }));
  VELAFS_TRY(catalog_.MakeDurable(sequence));
  MutexLock lock(mutex_);
  for (const auto& [place, of_place] : values) {
    for (const auto& [key, value] : of_place) {
      const Key at{place.scope, place.subject, key};
      if (value) {
        settings_[at] = *value;
      } else {
        settings_.erase(at);
      }
    }
  }
  return {};
}

}  // namespace velafs::store
