#include "velafs/cli/mount_users.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

namespace velafs::cli {
namespace {

// The first directory below `directory` that the link leads to, "" for itself; nothing if the link
// leads elsewhere.
std::optional<std::string> PartUnder(const std::string& directory,
                                     const std::filesystem::path& link) {
  std::error_code error;
  const std::string target = std::filesystem::read_symlink(link, error).string();
  if (error) return std::nullopt;
  if (target == directory) return std::string();
  if (!target.starts_with(directory + "/")) return std::nullopt;
  const std::string rest = target.substr(directory.size() + 1);
  return rest.substr(0, rest.find('/'));
}

std::optional<std::string> PartUsedBy(const std::string& directory,
                                      const std::filesystem::path& process) {
  for (const char* link : {"cwd", "root", "exe"}) {
    if (auto part = PartUnder(directory, process / link)) return part;
  }
  std::error_code error;
  for (std::filesystem::directory_iterator file(process / "fd", error), end; !error && file != end;
       file.increment(error)) {
    if (auto part = PartUnder(directory, file->path())) return part;
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> ProcessesUnder(const std::string& directory) {
  const std::string self = std::to_string(getpid());
  std::vector<std::string> users;
  std::error_code error;
  for (std::filesystem::directory_iterator process("/proc", error), end; !error && process != end;
       process.increment(error)) {
    const std::string pid = process->path().filename().string();
    if (!std::ranges::all_of(pid, [](char c) { return c >= '0' && c <= '9'; })) continue;
    if (pid == self) continue;  // it may have inherited a file or a directory of whoever runs it
    const std::optional<std::string> part = PartUsedBy(directory, process->path());
    if (!part) continue;
    std::string program;
    std::getline(std::ifstream(process->path() / "comm"), program);
    users.push_back("process " + pid + " (" + program + ")" +
                    (part->empty() ? "" : " in \"" + *part + "\""));
  }
  return users;
}

}  // namespace velafs::cli
