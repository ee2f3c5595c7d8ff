// Names of branches and bookmarks, and the SOURCE argument that may be either.
#pragma once

#include <string>
#include <string_view>

#include "velafs/base/status.h"

namespace velafs {

// Fails with kUsage unless `name` matches [a-z0-9][a-z0-9._-]{0,62}. `what` is "branch" or
// "bookmark", for the message.
Status CheckName(std::string_view what, std::string_view name);

// Whether `text` is a pattern of names, as fnmatch(3) knows them: `pr-*`. A text with characters
// that occur neither in names nor in patterns is not a pattern.
bool IsNamePattern(std::string_view text);
bool MatchesName(const std::string& pattern, const std::string& name);

// BRANCH or BRANCH@BOOKMARK.
struct SourceRef {
  std::string branch;
  std::string bookmark;  // empty for a branch

  std::string ToString() const { return bookmark.empty() ? branch : branch + "@" + bookmark; }
};
// Fails with kUsage on a name that could not exist.
Result<SourceRef> ParseSourceRef(std::string_view text);

}  // namespace velafs
