#include "pgctl-wrapper/isolation.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "pgctl-wrapper/text_file.h"

namespace velafs::pgctl {
namespace {

using std::string;
using std::string_view;

constexpr string_view kListening = "00010000";
constexpr string_view kDatagram = "0002";
constexpr string_view kPostgresSocket = ".s.PGSQL.";
// What every program needs. Sockets in these are hidden one by one.
constexpr std::array<string_view, 9> kSystemDirs = {"/bin",  "/dev",  "/etc", "/lib", "/lib64",
                                                    "/proc", "/sbin", "/sys", "/usr"};

// Both without a slash at the end.
bool IsUnder(string_view path, string_view dir) {
  return path.starts_with(dir) && (path.size() == dir.size() || path[dir.size()] == '/');
}

template <typename Dirs>
bool IsUnderAny(string_view path, const Dirs& dirs) {
  return std::any_of(dirs.begin(), dirs.end(),
                     [path](const auto& dir) { return IsUnder(path, dir); });
}

bool IsHidden(string_view path, const Isolation& plan) {
  return IsUnderAny(path, plan.hidden_dirs) && !IsUnderAny(path, plan.kept_dirs);
}

bool MayHide(string_view dir, const Isolation& plan) {
  const bool is_on_top = dir.find('/', 1) == string_view::npos;  // "/srv" may hold anything
  return !is_on_top && !IsUnderAny(dir, kSystemDirs) && !IsUnderAny(dir, plan.kept_dirs);
}

void SortUnique(std::vector<string>& paths) {
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
}

// Takes the next word off `line`.
string_view TakeWord(string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

string RealPath(const string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

}  // namespace

// Num RefCount Protocol Flags Type St Inode Path
std::vector<string> OpenSockets(string_view table) {
  std::vector<string> paths;
  while (!table.empty()) {
    string_view line = table.substr(0, table.find('\n'));
    table.remove_prefix(std::min(line.size() + 1, table.size()));
    for (int i = 0; i < 3; ++i) TakeWord(line);
    const string_view flags = TakeWord(line);
    const string_view type = TakeWord(line);
    for (int i = 0; i < 2; ++i) TakeWord(line);
    if (!line.starts_with(" /")) continue;  // abstract ones are the network namespace's
    if (flags == kListening || type == kDatagram) paths.emplace_back(line.substr(1));
  }
  return paths;
}

Isolation PlanIsolationOf(std::vector<string> hidden_dirs, std::vector<string> kept_dirs,
                          const std::vector<string>& sockets) {
  Isolation plan;
  plan.hidden_dirs = std::move(hidden_dirs);
  plan.kept_dirs = std::move(kept_dirs);
  for (const string& socket : sockets) {
    const size_t slash = socket.rfind('/');
    const string dir = socket.substr(0, slash);
    const bool is_postgres = string_view(socket).substr(slash + 1).starts_with(kPostgresSocket);
    if (is_postgres && MayHide(dir, plan) && !IsHidden(dir, plan)) plan.hidden_dirs.push_back(dir);
  }
  std::copy_if(sockets.begin(), sockets.end(), std::back_inserter(plan.hidden_sockets),
               [&](const string& socket) {
                 return !IsHidden(socket, plan) && !IsUnderAny(socket, plan.kept_dirs);
               });
  SortUnique(plan.hidden_dirs);
  SortUnique(plan.kept_dirs);
  std::erase_if(plan.kept_dirs,
                [&](const string& dir) { return !IsUnderAny(dir, plan.hidden_dirs); });
  return plan;
}

Isolation PlanIsolation(const string& run_root, const std::vector<string>& kept_dirs) {
  const Result<string> table = ReadTextFile("/proc/net/unix");  // a kernel without any has none
  std::vector<string> sockets = OpenSockets(table.ok() ? *table : "");
  for (string& socket : sockets) {
    const size_t slash = socket.rfind('/');
    socket = RealPath(socket.substr(0, slash)) + socket.substr(slash);
  }
  std::vector<string> hidden = {"/run", "/tmp", "/var/run", run_root};
  std::transform(hidden.begin(), hidden.end(), hidden.begin(), RealPath);
  std::vector<string> kept = kept_dirs;
  std::transform(kept.begin(), kept.end(), kept.begin(), RealPath);
  return PlanIsolationOf(std::move(hidden), std::move(kept), sockets);
}

}  // namespace velafs::pgctl
