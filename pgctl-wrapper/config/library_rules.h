// Decides whether a branch loads a preload library: by velapg's own list, extensions.toml, and the
// administrator's STORE/extensions.toml.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "velafs/base/status.h"

namespace velafs::pgctl {

enum class LibraryAction {
  kAllow,     // it is loaded, and may register background workers
  kLeaveOut,  // it is not loaded
  kSetting,   // loaded with a setting that quiets it; left out where it does not know the setting
};

struct LibraryRule {
  LibraryAction action = LibraryAction::kAllow;
  std::string setting;  // of kSetting
  std::string value;
  std::string why;

  bool operator==(const LibraryRule&) const = default;
};

using LibraryRules = std::map<std::string, LibraryRule>;  // by the library's bare name

// Tables `[NAME]` with `action` ("allow", "leave_out" or "setting"), `why`, and for "setting"
// `setting` and `value`. Fails, naming `file` and the line, on anything else.
Result<LibraryRules> ParseLibraryRules(const std::string& text, const std::string& file);

// The rules compiled into the program.
Result<LibraryRules> BuiltInLibraryRules();

// The text of STORE/extensions.toml; empty if there is none. Refused if users other than root and
// the store's owner may write it. Call it with the caller's rights, not a branch owner's.
Result<std::optional<std::string>> ReadStoreLibraryRules(const std::string& store);

// The built-in rules; those of `store_text` replace them by name; the libraries of
// `allowed_libraries`, a policy's value, are allowed.
Result<LibraryRules> CombineLibraryRules(const std::optional<std::string>& store_text,
                                         std::string_view allowed_libraries);

}  // namespace velafs::pgctl
