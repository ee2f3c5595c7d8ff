#include "velafs/api/configuration.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include "velafs/api/client.h"
#include "velafs/base/nearest.h"
#include "velafs/base/units.h"
#include "velafs/client.h"
#include "velafs/os/unique_fd.h"

namespace velafs {
namespace api {
namespace {

constexpr char kFileOfMachine[] = "/etc/velafs/velafs.conf";
constexpr char kVariable[] = "VELAFS_CONFIG";

constexpr std::array kKeys = {
    ConfigurationKey{"store", ""},
    ConfigurationKey{"mountpoint", ""},
    ConfigurationKey{"policy_file", ""},
    ConfigurationKey{"mount.autostart", "true"},
    ConfigurationKey{"mount.idle_polling", "true"},
    ConfigurationKey{"mount.log_level", "info"},
    ConfigurationKey{"mount.stop_timeout", "60s"},
    ConfigurationKey{"mount.write_through", "false"},
    ConfigurationKey{"users.user_group", ""},
    ConfigurationKey{"users.admin_group", ""},
};

Status WrongAt(const std::string& file, unsigned line, const std::string& what) {
  return UsageError(file + ":" + std::to_string(line) + ": " + what);
}

bool IsTable(const std::string& name) {
  for (const ConfigurationKey& key : kKeys) {
    if (std::string_view(key.name).starts_with(name + ".")) return true;
  }
  return false;
}

const ConfigurationKey* FindKey(const std::string& name) {
  for (const ConfigurationKey& key : kKeys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const ConfigurationKey& key : kKeys) names.emplace_back(key.name);
  return names;
}

// Says what is wrong with a key's value; empty if it is valid.
std::optional<std::string> ObjectionTo(const std::string& key, const std::string& text) {
  if (text.empty()) return "is empty: leave it out instead";
  if (key == "store" || key == "mountpoint" || key == "policy_file") {
    if (text[0] != '/') return "is not an absolute path";
  } else if (key == "mount.log_level") {
    if (text != "debug" && text != "info" && text != "warning" && text != "error") {
      return "is not debug, info, warning or error";
    }
  } else if (key == "mount.stop_timeout") {
    if (!ParseDuration(text).ok()) return "is not a duration such as 90s or 5m";
  }
  return std::nullopt;
}

// The value of a key that is known, as text.
Result<std::string> TextOf(const ConfigurationKey& key, const toml::node& node,
                           const std::string& file) {
  const std::string name = key.name;
  const unsigned line = node.source().begin.line;
  const std::string_view fallback = key.fallback;
  if (fallback == "true" || fallback == "false") {
    const auto flag = node.value_exact<bool>();
    if (!flag) return WrongAt(file, line, "\"" + name + "\" must be true or false");
    return std::string(*flag ? "true" : "false");
  }
  auto text = node.value_exact<std::string>();
  if (!text) return WrongAt(file, line, "\"" + name + "\" must be a text in quotes");
  if (const auto objection = ObjectionTo(name, *text)) {
    return WrongAt(file, line, "\"" + *text + "\", the value of \"" + name + "\", " + *objection);
  }
  return std::move(*text);
}

bool IsIn(const std::filesystem::path& inner, const std::filesystem::path& outer) {
  const std::filesystem::path from_outer =
      inner.lexically_normal().lexically_relative(outer.lexically_normal());
  return !from_outer.empty() && *from_outer.begin() != "..";
}

// Nothing if a store can be mounted there, as far as the names tell.
std::optional<std::string> ObjectionToPlaces(const std::filesystem::path& store,
                                             const std::filesystem::path& mountpoint) {
  if (IsIn(store, mountpoint)) return "would hide the store";
  if (mountpoint.lexically_normal() == (store / "mnt").lexically_normal()) return std::nullopt;
  if (IsIn(mountpoint, store)) return "is inside the store";
  return std::nullopt;
}

std::string FileOfUser() {
  if (geteuid() == 0) return kFileOfMachine;
  std::string home = Environment("XDG_CONFIG_HOME");
  if (home.empty()) {
    home = Environment("HOME");
    const passwd* const user = home.empty() ? getpwuid(geteuid()) : nullptr;
    if (user != nullptr) home = user->pw_dir;
    home += "/.config";
  }
  return home + "/velafs/velafs.conf";
}

// True if only root may write to it or, with `is_way`, replace files in it.
Status CheckIsRoots(const std::filesystem::path& path, bool is_way) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return SystemError(errno, "cannot read \"" + path.string() + "\"");
  }
  // Where a link leads is looked at, too, but its owner may have it lead elsewhere at any time.
  const bool is_link = S_ISLNK(info.st_mode);
  const bool is_open = !is_link && (info.st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
                       !(is_way && (info.st_mode & S_ISVTX) != 0);
  if (info.st_uid == 0 && !is_open) return {};
  return Refused("\"" + path.string() + "\" can be written by other users than root",
                 "`chown root:root '" + path.string() + "'` and `chmod go-w '" + path.string() +
                     "'` correct that");
}

Status CheckWay(const std::filesystem::path& file) {
  VELAFS_TRY(CheckIsRoots(file, false));
  for (std::filesystem::path at = file.parent_path();; at = at.parent_path()) {
    VELAFS_TRY(CheckIsRoots(at, true));
    if (at == at.root_path()) return {};
  }
}

// Refused unless `opened`, which "file" led to, is where only root can have put it.
Status CheckIsTrusted(const std::string& file, const struct stat& opened) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(file, error).lexically_normal();
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error) return SystemError(error.value(), "cannot read \"" + file + "\"");
  VELAFS_TRY(CheckWay(path));
  VELAFS_TRY(CheckWay(real));
  struct stat found {};
  const bool is_it = lstat(real.c_str(), &found) == 0 && found.st_dev == opened.st_dev &&
                     found.st_ino == opened.st_ino;
  return is_it ? Status() : Refused("\"" + file + "\" has just been replaced");
}

Result<std::string> ReadUpTo(size_t most_bytes, int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() <= most_bytes) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(errno, "cannot read it");
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  return Refused("it is larger than " + FormatSize(most_bytes));
}

}  // namespace

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::span<const ConfigurationKey> ConfigurationKeys() { return kKeys; }

Result<std::string> ReadTrusted(const std::string& file) {
  constexpr size_t kMostBytes = 1 << 20;
  const bool is_careful = geteuid() == 0;
  // Root waits for no FIFO of another's.
  const int more_flags = is_careful ? O_NONBLOCK | O_NOCTTY : 0;
  const os::UniqueFd opened(open(file.c_str(), O_RDONLY | O_CLOEXEC | more_flags));
  struct stat info {};
  if (!opened || fstat(opened.get(), &info) != 0) {
    const int error = errno;
    if (error == ENOENT) return NotFound("there is none");
    return SystemError(error, "cannot open it");
  }
  if (is_careful) VELAFS_TRY(CheckIsTrusted(file, info));
  if (is_careful && !S_ISREG(info.st_mode)) return Refused("it is not a regular file");
  return ReadUpTo(kMostBytes, opened.get());
}

Result<Configuration> Configuration::Parse(const std::string& text, const std::string& file) try {
  Configuration configuration;
  configuration.file_ = file;
  const auto add = [&](const std::string& name, const toml::node& node) -> Status {
    const ConfigurationKey* const key = FindKey(name);
    if (key == nullptr) {
      return WrongAt(file, node.source().begin.line, "unknown key \"" + name + "\"")
          .WithHint(DidYouMean(name, Names(), "see: velafs config show"));
    }
    VELAFS_ASSIGN(std::string value, TextOf(*key, node, file));
    configuration.values_[name] = {std::move(value), node.source().begin.line};
    return {};
  };
  const toml::table table = toml::parse(text);
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (!node.is_table() || !IsTable(name)) {
      VELAFS_TRY(add(name, node));
      continue;
    }
    for (const auto& [inner, value] : *node.as_table()) {
      VELAFS_TRY(add(name + "." + std::string(inner.str()), value));
    }
  }
  const auto store = configuration.Find("store");
  const auto mountpoint = configuration.Find("mountpoint");
  const auto objection =
      store && mountpoint ? ObjectionToPlaces(*store, *mountpoint) : std::nullopt;
  if (!objection) return configuration;
  return WrongAt(file, configuration.values_["mountpoint"].line,
                 "mountpoint \"" + *mountpoint + "\" " + *objection)
      .WithHint("name a directory elsewhere, or none for STORE/mnt");
} catch (const toml::parse_error& error) {
  return WrongAt(file, error.source().begin.line, std::string(error.description()));
}

Result<Configuration> Configuration::Read(const std::string& file) {
  Result<std::string> text = ReadTrusted(file);
  if (text.ok()) return Parse(*text, file);
  return std::move(text).status().WithContext("cannot read the configuration file \"" + file +
                                              "\"");
}

Result<Configuration> Configuration::Load() {
  const std::string named = Environment(kVariable);
  const std::string file = named.empty() ? FileOfUser() : named;
  // A home that this user may not even look into is none of his.
  if (named.empty() && access(file.c_str(), F_OK) != 0) return Configuration();
  VELAFS_ASSIGN(Configuration configuration, Read(file));
  configuration.was_named_ = !named.empty();
  return configuration;
}

Result<Configuration> Configuration::LoadOfMachine() { return Read(kFileOfMachine); }

std::optional<std::string> Configuration::Find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::nullopt : std::optional(found->second.text);
}

std::string Configuration::Get(const std::string& key) const {
  if (auto found = Find(key)) return *std::move(found);
  const ConfigurationKey* const known = FindKey(key);
  VELAFS_CHECK(known != nullptr);
  return known->fallback;
}

std::string Configuration::PlaceOf(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? "" : file_ + ":" + std::to_string(found->second.line);
}

bool Configuration::IsAbout(const std::string& store_directory) const {
  if (file_.empty()) return false;
  const std::optional<std::string> store = Find("store");
  if (!store && was_named_) return true;
  const std::string own = store ? StoreDirectory(*store) : DefaultStoreDirectory();
  std::error_code error;
  return own == store_directory || std::filesystem::equivalent(own, store_directory, error);
}

}  // namespace api

void UseConfiguration(const std::string& file) {
  std::error_code error;
  setenv(api::kVariable, std::filesystem::absolute(file, error).c_str(), 1);
}

Status UseConfiguredStore(const std::string& option) {
  if (!option.empty() || !api::Environment("VELAFS_STORE").empty()) return {};
  VELAFS_ASSIGN(const api::Configuration file, api::Configuration::Load());
  if (const auto store = file.Find("store")) setenv("VELAFS_STORE", store->c_str(), 1);
  return {};
}

}  // namespace velafs
