#include "velafs/cli/remove_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <system_error>

#include "velafs/os/unique_fd.h"

namespace velafs::cli {
namespace {

namespace fs = std::filesystem;

void OpenUp(const fs::path& path) {
  const os::UniqueFd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd) chmod(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), 0700);
}

}  // namespace

void RemoveTree(int directory_fd, const std::string& name) {
  fs::path tree = name;
  if (directory_fd != AT_FDCWD) {
    tree = "/proc/self/fd/" + std::to_string(directory_fd) + "/" + name;
  }
  std::error_code error;
  fs::remove_all(tree, error);
  if (!error) return;
  // An archive may have directories that their owner may not write to.
  OpenUp(tree);
  std::error_code ignored;
  for (fs::recursive_directory_iterator entry(tree, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    if (fs::is_directory(entry->symlink_status(ignored))) OpenUp(entry->path());
  }
  fs::remove_all(tree, error);
}

}  // namespace velafs::cli
