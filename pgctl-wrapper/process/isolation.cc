#include "pgctl-wrapper/process/isolation.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace velafs::pgctl {
namespace {

using std::string;
using std::string_view;

// Programs, libraries, locales, time zones, configuration, devices, the kernel's own.
constexpr std::array<string_view, 12> kSystemDirs = {"/bin",   "/dev",   "/etc", "/lib",
                                                     "/lib32", "/lib64", "/nix", "/opt",
                                                     "/proc",  "/sbin",  "/sys", "/usr"};

// Both without a slash at the end.
bool IsUnder(string_view path, string_view dir) {
  return path.starts_with(dir) && (path.size() == dir.size() || path[dir.size()] == '/');
}

}  // namespace

Isolation PlanIsolation(const string& stage_dir, const std::vector<string>& own_dirs) {
  Isolation plan;
  plan.stage_dir = stage_dir;
  std::vector<string>& shown = plan.shown_dirs;
  shown.assign(kSystemDirs.begin(), kSystemDirs.end());
  shown.insert(shown.end(), own_dirs.begin(), own_dirs.end());
  std::sort(shown.begin(), shown.end());
  // What lies in a directory that is shown is there.
  for (size_t i = 1; i < shown.size();) {
    const bool is_there = std::any_of(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(i),
                                      [&](const string& dir) { return IsUnder(shown[i], dir); });
    if (is_there) {
      shown.erase(shown.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  return plan;
}

}  // namespace velafs::pgctl
