// The settings that velapg overrides on a server's command line, each with its reason, so that a
// copy of production starts safely. No I/O.
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

// The user's wishes for overrides.
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

// The paths of the server's files.
struct ServerPlaces {
  std::string data_dir;
  std::string config_file;
  std::string hba_file;
  std::string ident_file;
  std::string socket_dir;
  std::string log_dir;
  uint16_t port = 0;
  bool config_is_copy = false;  // the branch's own, without lines that the server does not accept
};

using Settings = std::map<std::string, std::string>;

// Facts about a server before it starts.
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

// The overrides of paths: needed to ask the server program anything.
std::vector<Override> PlaceOverrides(const ServerPlaces& places);

// The settings whose values in the branch decide about an override.
std::vector<std::string> SettingsToAsk(int version, const OverrideChoice& choice);

// The setting that says how many replication origins a server can load.
const char* OriginLimit(int version);

// True if the branch's own settings would write into a WAL archive.
bool WouldArchive(const Settings& own);

// All overrides, PlaceOverrides among them, each setting once. Refused under `strict` when a
// library is missing.
Result<std::vector<Override>> PlanOverrides(const ServerFacts& facts, const OverrideChoice& choice);

// [{"setting","value","why"}...]
nlohmann::json OverridesToJson(const std::vector<Override>& overrides);

}  // namespace velafs::pgctl
