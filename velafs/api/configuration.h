// The configuration file: how one store is mounted. TOML.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "velafs/base/status.h"
#include "velafs/configuration.h"

namespace velafs::api {

// What may be in the file. A value is a text from here on: "true" or "false" of a truth value.
struct ConfigurationKey {
  const char* name;      // "mount.autostart" of key autostart in table [mount]
  const char* fallback;  // what holds where nobody says anything; empty: nothing, or see below
};
// The fallbacks of `store` and `mountpoint` depend on who asks.
std::span<const ConfigurationKey> ConfigurationKeys();

// One file's content.
class Configuration {
 public:
  // `file` is its name for messages. kUsage, with the line, for what is not to be in it.
  static Result<Configuration> Parse(const std::string& text, const std::string& file);
  // kNotFound when there is none. Refused to root where others could write it.
  static Result<Configuration> Read(const std::string& file);
  // The one that this process uses (velafs/configuration.h); an empty one where there is none, but
  // kNotFound where one was named.
  static Result<Configuration> Load();
  // That of this machine's own store, for whoever has none of his own.
  static Result<Configuration> LoadOfMachine();

  Configuration() = default;

  const std::string& file() const { return file_; }  // empty: there is none
  std::optional<std::string> Find(const std::string& key) const;
  std::string Get(const std::string& key) const;      // else its fallback
  std::string PlaceOf(const std::string& key) const;  // "FILE:LINE"

  // Whether it is about that store: the one it names, or, if it names none, the default one, or any
  // if this file was asked for.
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

// The whole of a small text file; kNotFound when there is none. Refused to root unless only root
// may write the file, or put another in its place: of no other a byte is looked at.
Result<std::string> ReadTrusted(const std::string& file);

}  // namespace velafs::api
