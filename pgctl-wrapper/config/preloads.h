// Finds the libraries that preload settings name, where the server would look, and judges them by
// the rules.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgctl-wrapper/config/library_rules.h"

namespace velafs::pgctl {

// The settings that name libraries to load before the first query.
inline constexpr const char* kPreloadSettings[] = {
    "shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"};

enum class Fate { kLoaded, kQuieted, kLeftOut, kMissing };

struct PreloadLibrary {
  std::string spelling;  // as the setting has it
  Fate fate = Fate::kLoaded;
  LibraryRule rule;  // of kQuieted and kLeftOut: why, and the setting
  // Not in the rules, and it registers background workers.
  bool has_unknown_workers = false;

  bool IsDropped() const { return fate == Fate::kLeftOut || fate == Fate::kMissing; }
};

using Preloads = std::map<std::string, std::vector<PreloadLibrary>>;  // by setting

// Where the server finds modules.
struct LibraryPlaces {
  std::string library_dir;  // $libdir
  std::string data_dir;     // the directory of relative paths
};

// The file that the server would load; nothing when it would find none.
std::optional<std::string> FindLibrary(const LibraryPlaces& places, std::string_view setting,
                                       const std::string& spelling);

// The fate of each library that `value` of the preload setting names. `as_is`: only missing ones
// are dropped.
std::vector<PreloadLibrary> JudgeLibraries(const LibraryPlaces& places, const LibraryRules& rules,
                                           std::string_view setting, std::string_view value,
                                           bool as_is);

// The setting's value without the dropped libraries; empty if none is dropped.
std::optional<std::string> ValueWithoutDropped(const std::vector<PreloadLibrary>& libraries);
// "not installed: a; left out: pg_cron (would run production's jobs)"; of those dropped.
std::string WhyDropped(const std::vector<PreloadLibrary>& libraries);
// The spellings of those that are missing.
std::vector<std::string> MissingAmong(const std::vector<PreloadLibrary>& libraries);

}  // namespace velafs::pgctl
