#include "velafs/cli/settings.h"

#include <algorithm>
#include <cstdlib>

#include "velafs/api/configuration.h"
#include "velafs/store/paths.h"

namespace velafs::cli {
namespace {

Setting StoreSetting(const Globals& globals, const api::Configuration& file) {
  const std::string here = globals.StoreDirectory();
  if (!globals.store.empty()) return {"store", here, "command line"};
  if (!api::Environment("VELAFS_STORE").empty()) return {"store", here, "environment"};
  const auto named = file.Find("store");
  if (named) return {"store", StoreDirectory(*named), file.PlaceOf("store")};
  return {"store", here, "default"};
}

Setting Before(const Globals& globals, const std::string& key) {
  if (key == "mountpoint") {
    const std::string variable = api::Environment("VELAFS_MOUNTPOINT");
    if (!variable.empty()) return {key, variable, "environment"};
  }
  if (key == "mount.log_level" && globals.verbose) return {key, "debug", "command line"};
  return {};
}

Setting SettingOf(const Globals& globals, const api::Configuration& file, const std::string& store,
                  const std::string& key) {
  if (Setting before = Before(globals, key); !before.key.empty()) return before;
  if (file.IsAbout(store) && file.Find(key)) return {key, file.Get(key), file.PlaceOf(key)};
  if (key != "mountpoint") return {key, api::Configuration().Get(key), "default"};
  return {key, store::StorePaths(store).DefaultMountpoint(), "default"};
}

}  // namespace

const Setting& Settings::Of(const std::string& key) const {
  const auto found = std::ranges::find(all, key, &Setting::key);
  VELAFS_CHECK(found != all.end());
  return *found;
}

Result<Settings> LoadSettings(const Globals& globals) {
  VELAFS_ASSIGN(const api::Configuration file, api::Configuration::Load());
  const Setting store = StoreSetting(globals, file);
  Settings settings;
  settings.file = file.file();
  settings.is_about_it = file.IsAbout(store.value);
  for (const api::ConfigurationKey& key : api::ConfigurationKeys()) {
    settings.all.push_back(key.name == store.key ? store
                                                 : SettingOf(globals, file, store.value, key.name));
  }
  return settings;
}

}  // namespace velafs::cli
