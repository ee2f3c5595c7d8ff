#include "pgctl-wrapper/config/library_name.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace velafs::pgctl {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Where "-1.6" begins; npos when there is no version.
size_t VersionBegin(std::string_view name) {
  const size_t dash = name.rfind('-');
  const bool is_version = dash != std::string_view::npos && dash > 0 && dash + 1 < name.size() &&
                          IsDigit(name[dash + 1]);
  return is_version ? dash : std::string_view::npos;
}

}  // namespace

std::string CanonicalPath(std::string_view spelling) {
  std::string path = std::filesystem::path(spelling).lexically_normal().string();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string LibraryName(std::string_view spelling) {
  const std::string path = CanonicalPath(spelling);
  std::string name = path.substr(path.rfind('/') + 1);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const size_t suffix = name.rfind(".so");
  if (suffix != std::string::npos && suffix > 0 &&
      (suffix + 3 == name.size() || name[suffix + 3] == '.')) {
    name.resize(suffix);
  }
  name.resize(std::min(VersionBegin(name), name.size()));
  return name;
}

}  // namespace velafs::pgctl
