#include "velafs/cli/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include "velafs/os/unique_fd.h"

namespace velafs::cli {
namespace {

struct CloseDir {
  void operator()(DIR* it) const { closedir(it); }
};

// Also one that an archive has made so that its owner may not look into it.
os::UniqueFd OpenUp(int at, const std::string& name) {
  struct stat info {};
  if (fstatat(at, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return {};
  if (S_ISDIR(info.st_mode) && (info.st_mode & 0700) != 0700) fchmodat(at, name.c_str(), 0700, 0);
  return os::UniqueFd(openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

std::vector<std::string> NamesIn(int directory) {
  os::UniqueFd copy(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, CloseDir> stream(copy ? fdopendir(copy.get()) : nullptr);
  std::vector<std::string> names;
  if (!stream) return names;
  static_cast<void>(copy.Release());
  while (const dirent* entry = readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// Removes a directory's files, and moves its directories up, so that however deep they are two
// descriptors suffice. Adds their new names.
void Flatten(int directory, int top, std::vector<std::string>& names) {
  static uint64_t number = 0;
  for (const std::string& name : NamesIn(directory)) {
    if (unlinkat(directory, name.c_str(), 0) == 0) continue;
    const os::UniqueFd opened = OpenUp(directory, name);  // else it could not be moved
    std::string fresh;
    int moved;
    do {
      fresh = "removed-" + std::to_string(++number);
      moved = renameat2(directory, name.c_str(), top, fresh.c_str(), RENAME_NOREPLACE);
    } while (moved != 0 && errno == EEXIST);
    if (moved == 0) names.push_back(fresh);
  }
}

}  // namespace

void RemoveTree(int directory_fd, const std::string& name) {
  if (unlinkat(directory_fd, name.c_str(), 0) == 0) return;
  if (const os::UniqueFd top = OpenUp(directory_fd, name)) {
    std::vector<std::string> names = NamesIn(top.get());
    while (!names.empty()) {
      const std::string next = std::move(names.back());
      names.pop_back();
      if (unlinkat(top.get(), next.c_str(), 0) == 0) continue;
      if (const os::UniqueFd directory = OpenUp(top.get(), next)) {
        Flatten(directory.get(), top.get(), names);
      }
      unlinkat(top.get(), next.c_str(), AT_REMOVEDIR);
    }
  }
  unlinkat(directory_fd, name.c_str(), AT_REMOVEDIR);
}

}  // namespace velafs::cli
