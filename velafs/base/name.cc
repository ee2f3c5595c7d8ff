#include "velafs/base/name.h"

#include <fnmatch.h>

namespace velafs {
namespace {

constexpr size_t kMaxNameLength = 63;
constexpr size_t kMaxQuotedBytes = 100;

bool IsAlnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength || !IsAlnum(name[0])) return false;
  for (char c : name) {
    if (!IsAlnum(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

// The allowed name that is nearest to `text`: `Feature/Login` becomes `feature-login`. Empty if
// nothing of it is allowed.
std::string SuggestName(std::string_view text) {
  std::string name;
  for (char c : text.substr(0, kMaxNameLength)) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool is_allowed = IsAlnum(c) || c == '.' || c == '_' || c == '-';
    if (name.empty() && !IsAlnum(c)) continue;
    if (is_allowed) {
      name += c;
    } else if (name.back() != '-') {
      name += '-';
    }
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name;
}

bool IsBookmarkName(std::string_view text) {
  const size_t at = text.find('@');
  return at != std::string_view::npos && IsName(text.substr(0, at)) && IsName(text.substr(at + 1));
}

}  // namespace

Status CheckName(std::string_view what, std::string_view name) {
  if (IsName(name)) return {};
  if (what == "branch" && IsBookmarkName(name)) {
    const std::string bookmark(name);
    return UsageError("\"" + bookmark + "\" is a bookmark, not a branch",
                      "velafs bookmark list " + bookmark.substr(0, bookmark.find('@')) +
                          " shows it, velafs bookmark delete " + bookmark +
                          " deletes it, velafs clone " + bookmark + " NAME makes a branch of it");
  }
  // A name may be as long as its sender likes, a message not.
  const std::string quoted(name.size() > kMaxQuotedBytes ? name.substr(0, kMaxNameLength) : name);
  const std::string allowed = SuggestName(name);
  return UsageError(
      std::string(what) + " name \"" + quoted + (quoted.size() < name.size() ? "..." : "") +
          "\" is not allowed",
      "a name is 1 to 63 characters of a-z 0-9 . _ - and begins with a letter or digit" +
          (allowed.empty() ? "" : ", as in " + allowed));
}

bool IsNamePattern(std::string_view text) {
  constexpr const char* kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-*?[]!^";
  return text.find_first_of("*?[") != std::string_view::npos &&
         text.find_first_not_of(kAllowed) == std::string_view::npos;
}

bool MatchesName(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

Result<SourceRef> ParseSourceRef(std::string_view text) {
  SourceRef ref;
  const size_t at = text.find('@');
  ref.branch = std::string(text.substr(0, at));
  VELAFS_TRY(CheckName("branch", ref.branch));
  if (at != std::string_view::npos) {
    ref.bookmark = std::string(text.substr(at + 1));
    VELAFS_TRY(CheckName("bookmark", ref.bookmark));
  }
  return ref;
}

}  // namespace velafs
