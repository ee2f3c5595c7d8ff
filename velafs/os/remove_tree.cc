#include "velafs/os/remove_tree.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>

#include "velafs/os/directory_stream.h"

namespace velafs::os {
namespace {

Status CannotRemove(const std::string& path) {
  return SystemError(errno, "cannot remove \"" + path + "\"");
}

// Nobody else makes anything in it from then on, however long he has had it open. Where that
// cannot be had, the removal still succeeds or fails.
void MakeOwn(int directory) {
  struct stat info {};
  if (fstat(directory, &info) < 0) return;
  const bool is_anothers = info.st_uid != geteuid();
  // It may be this thread's all the same, with another's rights (os/acting_as.h).
  if (is_anothers) static_cast<void>(fchown(directory, geteuid(), static_cast<gid_t>(-1)));
  if (is_anothers || (info.st_mode & 0700) != 0700) fchmod(directory, 0700);
}

// No link that takes its place meanwhile is followed, and nothing but a directory gets another
// mode.
UniqueFd OpenOwn(int at, const std::string& name) {
  UniqueFd directory(openat(at, name.c_str(), kDirectoryFlags | O_NOFOLLOW));
  if (directory) {
    MakeOwn(directory.get());
    return directory;
  }
  if (errno != EACCES) return directory;
  const UniqueFd closed(openat(at, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const std::string by_number = "/proc/self/fd/" + std::to_string(closed.get());
  if (!closed || chmod(by_number.c_str(), 0700) != 0) {
    errno = EACCES;
    return directory;
  }
  return UniqueFd(openat(closed.get(), ".", kDirectoryFlags));
}

// What lies deeper than a directory of the top moves into the top. One thread.
class Emptying {
 public:
  Emptying(int top_fd, const std::string& path) : top_fd_(top_fd), path_(path) {}

  Status Run() {
    ForEach(top_fd_, path_, [this](const DirectoryEntry& entry) {
      entry.is_directory ? RemoveOfTop(entry.name) : RemoveFile(top_fd_, entry.name);
    });
    for (uint64_t number = 0; number < moved_; ++number) RemoveOfTop(NameOf(number));
    return std::move(first_failure_);
  }

 private:
  static std::string NameOf(uint64_t number) { return ".removed-" + std::to_string(number); }

  void Note(Status failure) {
    if (first_failure_.ok()) first_failure_ = std::move(failure);
  }

  template <typename Visit>
  void ForEach(int directory_fd, const std::string& path, Visit visit) {
    DirectoryStream stream(UniqueFd(openat(directory_fd, ".", kDirectoryFlags)));
    if (!stream.opened()) return Note(CannotRemove(path));
    Note(stream.ForEach(path, [&visit](const DirectoryEntry& entry) {
      visit(entry);
      return Status();
    }));
  }

  // True, too, if it is gone.
  static bool RemoveEmpty(int at, const std::string& name) {
    return unlinkat(at, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
  }

  void RemoveFile(int at, const std::string& name) {
    if (unlinkat(at, name.c_str(), 0) == 0 || errno == ENOENT) return;
    Note(CannotRemove(path_ + "/.../" + name));
  }

  void RemoveOfTop(const std::string& name) {
    if (RemoveEmpty(top_fd_, name)) return;
    const UniqueFd directory = OpenOwn(top_fd_, name);
    if (!directory) return Note(CannotRemove(path_ + "/" + name));
    ForEach(directory.get(), path_ + "/" + name, [&](const DirectoryEntry& entry) {
      entry.is_directory ? MoveToTop(directory.get(), entry.name)
                         : RemoveFile(directory.get(), entry.name);
    });
    if (!RemoveEmpty(top_fd_, name)) Note(CannotRemove(path_ + "/" + name));
  }

  void MoveToTop(int from_fd, const std::string& name) {
    if (RemoveEmpty(from_fd, name)) return;
    const UniqueFd opened = OpenOwn(from_fd, name);  // else it might not be moved
    // A number that a removal which was cut short has left is passed over.
    while (renameat(from_fd, name.c_str(), top_fd_, NameOf(moved_++).c_str()) < 0) {
      if (errno == ENOENT) return;
      const bool is_taken = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR;
      if (!is_taken) return Note(CannotRemove(path_ + "/.../" + name));
    }
  }

  const int top_fd_;
  const std::string& path_;
  uint64_t moved_ = 0;  // numbers given to what was moved to the top
  Status first_failure_;
};

}  // namespace

Status EmptyDirectory(int directory_fd, const std::string& path) {
  return Emptying(directory_fd, path).Run();
}

Status RemoveTree(int directory_fd, const std::string& name) {
  if (unlinkat(directory_fd, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  const UniqueFd top = OpenOwn(directory_fd, name);
  if (!top) return errno == ENOENT ? Status() : CannotRemove(name);
  VELAFS_TRY(EmptyDirectory(top.get(), name));
  if (unlinkat(directory_fd, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return CannotRemove(name);
}

}  // namespace velafs::os
