#include "pgctl-wrapper/config/library_rules.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "pgctl-wrapper/config/library_name.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/process/unique_fd.h"
#include "pgctl-wrapper/server/server_programs.h"

namespace velafs::pgctl {

extern const char kBuiltInLibraryRules[];  // extensions.toml, made a string by the build

namespace {

constexpr off_t kLargestRulesBytes = 1 << 20;
constexpr const char* kFileName = "extensions.toml";

Status At(const toml::node& node, const std::string& what) {
  return UsageError("line " + std::to_string(node.source().begin.line) + ": " + what);
}

Result<LibraryAction> ToAction(const toml::node& node, const std::string& word) {
  if (word == "allow") return LibraryAction::kAllow;
  if (word == "leave_out") return LibraryAction::kLeaveOut;
  if (word == "setting") return LibraryAction::kSetting;
  return At(node, "action is \"" + word + "\", not \"allow\", \"leave_out\" or \"setting\"");
}

Result<LibraryRule> ToRule(const toml::table& table) {
  LibraryRule rule;
  bool has_action = false;
  const std::pair<std::string_view, std::string*> texts[] = {
      {"setting", &rule.setting}, {"value", &rule.value}, {"why", &rule.why}};
  for (const auto& [key, node] : table) {
    const auto text = node.value_exact<std::string>();
    if (!text) return At(node, "\"" + std::string(key.str()) + "\" is not a text in quotes");
    if (key.str() == "action") {
      VELAFS_ASSIGN(rule.action, ToAction(node, *text));
      has_action = true;
      continue;
    }
    std::string* place = nullptr;
    for (const auto& [name, target] : texts) {
      if (key.str() == name) place = target;
    }
    if (!place) return At(node, "there is no key \"" + std::string(key.str()) + "\"");
    *place = *text;
  }
  if (!has_action) return At(table, "the table has no action");
  if ((rule.action == LibraryAction::kSetting) != !rule.setting.empty()) {
    return At(table, "the action \"setting\", and it alone, needs a setting");
  }
  if (rule.setting.find_first_of("= \t\n") != std::string::npos) {
    return At(table, "\"" + rule.setting + "\" is not the name of a setting");
  }
  return rule;
}

Result<LibraryRules> ToRules(const toml::table& file) {
  LibraryRules rules;
  for (const auto& [key, node] : file) {
    const std::string name(key.str());
    if (!node.is_table()) return At(node, "\"" + name + "\" is in no table [LIBRARY]");
    VELAFS_ASSIGN(rules[LibraryName(name)], ToRule(*node.as_table()));
  }
  return rules;
}

Status CheckTrusted(const std::string& path, const struct stat& file, uid_t store_owner) {
  const std::string quoted = "\"" + path + "\"";
  if (!S_ISREG(file.st_mode)) return Refused(quoted + " is not a regular file");
  if (file.st_uid != 0 && file.st_uid != store_owner) {
    return Refused(quoted + " belongs neither to root nor to the store's owner",
                   "it says which libraries branches load: chown it");
  }
  if ((file.st_mode & 022) != 0) {
    return Refused("others can write " + quoted, "chmod go-w " + path);
  }
  if (file.st_size > kLargestRulesBytes) return Refused(quoted + " is larger than 1 MiB");
  return {};
}

}  // namespace

Result<LibraryRules> ParseLibraryRules(const std::string& text, const std::string& file) try {
  Result<LibraryRules> rules = ToRules(toml::parse(text));
  if (rules.ok()) return rules;
  return std::move(rules).status().WithContext("cannot read library rules from " + file);
} catch (const toml::parse_error& error) {
  return UsageError("cannot read library rules from " + file + ": line " +
                    std::to_string(error.source().begin.line) + ": " +
                    std::string(error.description()));
}

Result<LibraryRules> BuiltInLibraryRules() {
  return ParseLibraryRules(kBuiltInLibraryRules, kFileName);
}

Result<std::optional<std::string>> ReadStoreLibraryRules(const std::string& store) {
  const std::string path = store + "/" + kFileName;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::optional<std::string>();
  if (!fd && errno == ELOOP) return Refused("\"" + path + "\" is a symbolic link");
  struct stat file {};
  struct stat directory {};
  if (!fd || fstat(fd.get(), &file) != 0 || stat(store.c_str(), &directory) != 0) {
    return SystemError(errno, "cannot read \"" + path + "\"");
  }
  VELAFS_TRY(CheckTrusted(path, file, directory.st_uid));
  VELAFS_ASSIGN(std::string text, ReadAll(fd.get(), 0, kLargestRulesBytes));
  return std::optional<std::string>(std::move(text));
}

Result<LibraryRules> CombineLibraryRules(const std::optional<std::string>& store_text,
                                         std::string_view allowed_libraries) {
  VELAFS_ASSIGN(LibraryRules rules, BuiltInLibraryRules());
  if (store_text) {
    VELAFS_ASSIGN(LibraryRules stores,
                  ParseLibraryRules(*store_text, std::string("the store's ") + kFileName));
    for (auto& [name, rule] : stores) rules[name] = std::move(rule);
  }
  for (const std::string& library : SplitLibraries(allowed_libraries)) {
    rules[LibraryName(library)] = {LibraryAction::kAllow, "", "", "the policy allow_libraries"};
  }
  return rules;
}

}  // namespace velafs::pgctl
