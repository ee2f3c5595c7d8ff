// The settings of a store's mount, with where each comes from: the command line, before the
// environment, before the configuration file.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/cli/command.h"

namespace velafs::cli {

struct Setting {
  std::string key;    // as in the file: "mount.autostart"
  std::string value;  // empty: none
  std::string from;   // "command line", "environment", "FILE:LINE" or "default"
};

struct Settings {
  std::string file;          // empty: there is none
  bool is_about_it = false;  // false: the file is for another store, and says nothing of this one
  std::vector<Setting> all;  // each key of the file

  // Of a key that there is.
  const Setting& Of(const std::string& key) const;
};

// Those of the store that `globals` are about. Fails as Configuration::Load.
Result<Settings> LoadSettings(const Globals& globals);

}  // namespace velafs::cli
