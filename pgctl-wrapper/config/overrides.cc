#include "pgctl-wrapper/config/overrides.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>

#include "pgctl-wrapper/server/server_programs.h"

namespace velafs::pgctl {
namespace {

constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = 1024 * kKiB;

// A memory setting: what its plain number counts, and the most that profile "small" lets it have.
// work_mem is not among them: it decides on query plans, which should be production's.
struct MemoryCap {
  const char* setting;
  int64_t unit_bytes;
  int64_t most_bytes;
  int since_version;
};

constexpr MemoryCap kMemoryCaps[] = {
    {"shared_buffers", 8 * kKiB, 128 * kMiB, 0},
    {"maintenance_work_mem", kKiB, 64 * kMiB, 0},
    {"autovacuum_work_mem", kKiB, 64 * kMiB, 0},
    {"wal_buffers", 8 * kKiB, 16 * kMiB, 0},
    {"min_dynamic_shared_memory", kMiB, 64 * kMiB, 14},
};

std::string OwnValue(const ServerFacts& facts, const std::string& setting) {
  const auto found = facts.own.find(setting);
  return found == facts.own.end() ? "" : found->second;
}

int64_t ToNumber(const std::string& text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Without these a server would write to files, sockets or ports that are not its branch's, or could
// not be watched.
std::vector<Override> SeparationOverrides(const ServerFacts& facts) {
  const ServerPlaces& places = facts.places;
  std::vector<Override> overrides = PlaceOverrides(places);
  const auto add = [&](const char* setting, const std::string& value, const char* why) {
    overrides.push_back({setting, value, why});
  };
  add("port", std::to_string(places.port), "the port kept for this branch");
  add("unix_socket_directories", places.socket_dir, "a private directory of this branch");
  add("unix_socket_group", "", "the directory is the owner's alone");
  add("unix_socket_permissions", "0700", "the directory is the owner's alone");
  add("external_pid_file", places.log_dir + "/external.pid", "outside the branch");
  add("cluster_name", facts.branch, "tells the branches' processes apart");
  add("logging_collector", "off", "velapg keeps the log");
  add("log_destination", "stderr", "velapg keeps the log");
  add("log_directory", places.log_dir, "outside the branch");
  if (facts.version < 15) {
    add("stats_temp_directory", "pg_stat_tmp", "inside the branch");
  }
  if (facts.version >= 15) {
    add("allow_in_place_tablespaces", "on", "a branch's tablespaces lie inside it");
  }
  if (facts.version >= 14) {
    add("recovery_init_sync_method", "fsync", "syncfs does not reach a FUSE filesystem");
  }
  return overrides;
}

// A setting that makes a server run a command, connect or wait for another server; the versions
// that know it.
struct OutwardSetting {
  const char* setting;
  const char* value;
  const char* why;
  int since_version;
  int until_version;
};

constexpr int kAny = 1000;

constexpr OutwardSetting kOutwardSettings[] = {
    {"bonjour", "off", "would announce itself to the network", 0, kAny},
    {"archive_mode", "off", "would write into production's WAL archive", 0, kAny},
    {"archive_command", "", "would write into production's WAL archive", 0, kAny},
    {"archive_library", "", "would write into production's WAL archive", 15, kAny},
    {"synchronous_standby_names", "", "commits would wait for production's standbys", 0, kAny},
    {"max_logical_replication_workers", "0", "would take over production's subscriptions", 0, kAny},
    {"primary_conninfo", "", "would follow production's primary", 12, kAny},
    {"primary_slot_name", "", "would use up production's replication slot", 12, kAny},
    {"restore_command", "", "would read production's WAL archive", 12, kAny},
    {"archive_cleanup_command", "", "would delete from production's WAL archive", 12, kAny},
    {"recovery_end_command", "", "would run production's command", 12, kAny},
    {"promote_trigger_file", "", "would look for production's file", 12, 15},
    {"sync_replication_slots", "off", "would copy slots from production's primary", 17, kAny},
    {"oauth_validator_libraries", "", "would ask production's identity provider", 18, kAny},
    {"synchronized_standby_slots", "", "would wait for production's standbys", 17, kAny},
};

// Of a server with a network of its own, even as it is, these hold; of others with `as_is` none.
std::vector<Override> NetworkOverrides(const ServerFacts& facts, const OverrideChoice& choice) {
  const bool is_apart = facts.network != Network::kHost;
  if (choice.as_is && !is_apart) return {};
  std::vector<Override> overrides = {
      choice.tcp ? Override{"listen_addresses", "127.0.0.1", "a copy is for this host only"}
                 : Override{"listen_addresses", "", "it is reached over its Unix socket only"}};
  // There its key file may look like a stranger's, which the server refuses.
  if (is_apart && (choice.as_is || OwnValue(facts, "ssl") == "on")) {
    overrides.push_back({"ssl", "off", "nobody connects over the network"});
  }
  return overrides;
}

// These keep a copy from acting as production, or from needing what only production's host has.
std::vector<Override> SafetyOverrides(const ServerFacts& facts, const OverrideChoice& choice) {
  std::vector<Override> overrides;
  const auto add = [&](const char* setting, const char* value, const char* why) {
    overrides.push_back({setting, value, why});
  };
  for (const OutwardSetting& item : kOutwardSettings) {
    const bool is_known =
        facts.version >= item.since_version && facts.version <= item.until_version;
    if (is_known) add(item.setting, item.value, item.why);
  }
  if (OwnValue(facts, "huge_pages") == "on") {
    add("huge_pages", "try", "this host may have none");
  }
  if (OwnValue(facts, "db_user_namespace") == "on") {
    add("db_user_namespace", "off", "its roles would have to be called ROLE@DATABASE");
  }
  const bool asks_passphrase = !OwnValue(facts, "ssl_passphrase_command").empty();
  if (asks_passphrase) add("ssl_passphrase_command", "", "would run production's command");
  if (facts.network != Network::kHost || OwnValue(facts, "ssl") != "on") return overrides;
  if (!choice.tcp) {
    add("ssl", "off", "it is reached over its Unix socket only");
  } else if (asks_passphrase) {
    add("ssl", "off", "its key needs a passphrase");
  } else if (!facts.ssl_problem.empty()) {
    add("ssl", "off", facts.ssl_problem.c_str());
  }
  return overrides;
}

std::vector<Override> MemoryOverrides(const ServerFacts& facts) {
  std::vector<Override> overrides;
  const auto quarter = facts.memory_limit_bytes == 0
                           ? std::numeric_limits<int64_t>::max()
                           : static_cast<int64_t>(facts.memory_limit_bytes / 4);
  for (const MemoryCap& cap : kMemoryCaps) {
    const int64_t most_bytes = std::min(cap.most_bytes, quarter);
    if (ToNumber(OwnValue(facts, cap.setting)) <= most_bytes / cap.unit_bytes) continue;
    overrides.push_back({cap.setting, std::to_string(most_bytes / kMiB) + "MB",
                         "many servers share this host's memory"});
  }
  return overrides;
}

// The preload settings that name a library which is dropped, without it.
std::vector<Override> LibraryOverrides(const ServerFacts& facts) {
  std::vector<Override> overrides;
  for (const auto& [setting, libraries] : facts.preloads) {
    if (const auto value = ValueWithoutDropped(libraries)) {
      overrides.push_back({setting, *value, WhyDropped(libraries)});
    }
  }
  return overrides;
}

// A server that finds more origins than it has room for stops with a panic. Its WAL may have some
// more.
std::vector<Override> OriginOverrides(const ServerFacts& facts) {
  constexpr int64_t kByDefault = 10;
  constexpr int64_t kSpare = 10;
  const std::string setting = OriginLimit(facts.version);
  const std::string own = OwnValue(facts, setting);
  const auto origins = static_cast<int64_t>(facts.replication_origins);
  if (origins == 0 || (own.empty() ? kByDefault : ToNumber(own)) > origins) return {};
  return {{setting, std::to_string(origins + kSpare),
           "it has " + std::to_string(origins) + " replication origins"}};
}

// The settings that quiet libraries which are loaded; each once, wherever they are named.
std::vector<Override> QuietingOverrides(const ServerFacts& facts) {
  std::map<std::string, Override> by_setting;
  for (const auto& [setting, libraries] : facts.preloads) {
    for (const PreloadLibrary& library : libraries) {
      if (library.fate != Fate::kQuieted) continue;
      const LibraryRule& rule = library.rule;
      by_setting[rule.setting] = {rule.setting, rule.value, rule.why};
    }
  }
  std::vector<Override> overrides;
  for (const auto& [name, item] : by_setting) overrides.push_back(item);
  return overrides;
}

}  // namespace

std::vector<Override> PlaceOverrides(const ServerPlaces& places) {
  const auto why = [&](const std::string& file, const char* if_ours) {
    return file.starts_with(places.data_dir + "/") ? "the branch's own" : if_ours;
  };
  return {{"data_directory", places.data_dir, "the branch itself"},
          {"config_file", places.config_file,
           why(places.config_file,
               places.config_is_copy
                   ? "a copy of the branch's own, without lines that its server does not accept"
                   : "generated: the branch has none")},
          {"hba_file", places.hba_file,
           why(places.hba_file,
               "replaces the branch's own: the data's owner connects over the socket, others with "
               "passwords over TCP")},
          {"ident_file", places.ident_file,
           why(places.ident_file, "replaces the branch's own: it has no maps")}};
}

std::vector<std::string> SettingsToAsk(int version, const OverrideChoice& choice) {
  std::vector<std::string> settings(std::begin(kPreloadSettings), std::end(kPreloadSettings));
  if (choice.as_is) {
    settings.insert(settings.end(), {"archive_mode", "listen_addresses"});
    return settings;
  }
  settings.insert(settings.end(), {"huge_pages", "ssl", "ssl_passphrase_command"});
  constexpr int kHasNoNamespaces = 17;
  if (version < kHasNoNamespaces) settings.emplace_back("db_user_namespace");
  if (choice.tcp) {
    settings.insert(settings.end(),
                    {"ssl_cert_file", "ssl_key_file", "ssl_ca_file", "ssl_crl_file"});
  }
  if (choice.memory == MemoryProfile::kInherit) return settings;
  for (const MemoryCap& cap : kMemoryCaps) {
    if (version >= cap.since_version) settings.push_back(cap.setting);
  }
  return settings;
}

Result<std::vector<Override>> PlanOverrides(const ServerFacts& facts,
                                            const OverrideChoice& choice) {
  std::vector<std::string> missing;
  for (const auto& [setting, libraries] : facts.preloads) {
    for (std::string& library : MissingAmong(libraries)) missing.push_back(std::move(library));
  }
  if (choice.strict && !missing.empty()) {
    return Refused("branch \"" + facts.branch +
                       "\" preloads libraries that are not installed: " + JoinLibraries(missing),
                   "install them, or start without --strict");
  }
  std::vector<Override> overrides = SeparationOverrides(facts);
  const auto append = [&](std::vector<Override> more) {
    overrides.insert(overrides.end(), std::make_move_iterator(more.begin()),
                     std::make_move_iterator(more.end()));
  };
  append(NetworkOverrides(facts, choice));
  append(LibraryOverrides(facts));
  append(OriginOverrides(facts));
  if (choice.as_is) return overrides;
  append(SafetyOverrides(facts, choice));
  append(QuietingOverrides(facts));
  if (choice.memory == MemoryProfile::kSmall) append(MemoryOverrides(facts));
  return overrides;
}

const char* OriginLimit(int version) {
  constexpr int kHasItsOwn = 18;
  return version >= kHasItsOwn ? "max_active_replication_origins" : "max_replication_slots";
}

bool WouldArchive(const Settings& own) {
  const auto mode = own.find("archive_mode");
  return mode != own.end() && (mode->second == "on" || mode->second == "always");
}

nlohmann::json OverridesToJson(const std::vector<Override>& overrides) {
  nlohmann::json list = nlohmann::json::array();
  for (const Override& override_ : overrides) {
    list.push_back(
        {{"setting", override_.setting}, {"value", override_.value}, {"why", override_.why}});
  }
  return list;
}

}  // namespace velafs::pgctl
