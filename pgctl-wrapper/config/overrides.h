// What velapg tells a branch's server on its command line, over the branch's own configuration, and
// why: DESIGN's list for starting a copy of production safely. No I/O.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pgctl-wrapper/config/preloads.h"
#include "pgctl-wrapper/connect/network.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

enum class MemoryProfile { kSmall, kInherit };

// Which of the overrides the user wants.
struct OverrideChoice {
  bool as_is = false;   // only those without which the server could not run beside others
  bool tcp = false;     // it listens on 127.0.0.1, too, not only on its Unix socket
  bool strict = false;  // a preload library that is not installed is a failure
  MemoryProfile memory = MemoryProfile::kSmall;
};

struct Override {
  std::string setting;
  std::string value;
  std::string why;

  bool operator==(const Override&) const = default;
};

// Where the server's parts are.
struct ServerPlaces {
  std::string data_dir;
  std::string config_file;
  std::string hba_file;
  std::string ident_file;
  std::string socket_dir;
  std::string log_dir;
  uint16_t port = 0;
  bool config_is_copy = false;  // the branch's own, without what the server does not take
};

using Settings = std::map<std::string, std::string>;

// What is known of a server before it is started.
struct ServerFacts {
  std::string branch;
  int version = 0;
  ServerPlaces places;
  Network network = Network::kHost;
  Settings own;             // the branch's values of SettingsToAsk, in the setting's base unit
  std::string ssl_problem;  // why it could not load its key; empty if it can
  uint64_t memory_limit_bytes = 0;  // of all its processes; 0: none
  size_t replication_origins = 0;   // that it is going to load
  Preloads preloads;                // of the preload settings that name libraries
};

// The settings that say where a server's files are: needed to ask it anything.
std::vector<Override> PlaceOverrides(const ServerPlaces& places);

// The settings whose own values decide on an override.
std::vector<std::string> SettingsToAsk(int version, const OverrideChoice& choice);

// The setting that says how many replication origins a server can load.
const char* OriginLimit(int version);

// True when the branch's own settings would write into a WAL archive.
bool WouldArchive(const Settings& own);

// All overrides, PlaceOverrides among them, each setting once. Refused under `strict` when a
// library is missing.
Result<std::vector<Override>> PlanOverrides(const ServerFacts& facts, const OverrideChoice& choice);

// [{"setting","value","why"}...]
nlohmann::json OverridesToJson(const std::vector<Override>& overrides);

}  // namespace velafs::pgctl
