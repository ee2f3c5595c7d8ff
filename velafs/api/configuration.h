// The configuration file: how one store is mounted. TOML.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "velafs/base/status.h"
#include "velafs/configuration.h"

namespace velafs::api {

// A key that the file may have. Its value is kept as text: a truth value as "true" or "false".
struct ConfigurationKey {
  const char* name;      // "mount.autostart" of key autostart in table [mount]
  const char* fallback;  // the default; empty: none, or see below
};
// The fallbacks of `store` and `mountpoint` depend on who asks.
std::span<const ConfigurationKey> ConfigurationKeys();

// One file's content.
class Configuration {
 public:
  // `file` is its name for messages. kUsage, with the line, if it has an unknown key or bad value.
  static Result<Configuration> Parse(const std::string& text, const std::string& file);
  // kNotFound if there is none. Refused to root if other users could write it.
  static Result<Configuration> Read(const std::string& file);
  // The file that this process uses (velafs/configuration.h). If there is none: empty, but
  // kNotFound if it was named.
  static Result<Configuration> Load();
  // The machine's own, for users who have none.
  static Result<Configuration> LoadOfMachine();

  Configuration() = default;

  const std::string& file() const { return file_; }  // empty: there is none
  std::optional<std::string> Find(const std::string& key) const;
  std::string Get(const std::string& key) const;      // else its fallback
  std::string PlaceOf(const std::string& key) const;  // "FILE:LINE"

  // Whether it applies to that store: it names it; or it names none, and the store is the default
  // one or this file was named by the user.
  bool IsAbout(const std::string& store_directory) const;

 private:
  struct Value {
    std::string text;
    unsigned line = 0;
  };
  std::string file_;
  bool was_named_ = false;
  std::map<std::string, Value> values_;
};

// A variable of the environment; empty if it is not set.
std::string Environment(const char* name);

// The whole of a small text file; kNotFound if there is none. If root calls it, a file that other
// users could write or replace is refused before a byte is read.
Result<std::string> ReadTrusted(const std::string& file);

}  // namespace velafs::api
