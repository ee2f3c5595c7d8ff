// The entries of an open directory.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "velafs/base/status.h"
#include "velafs/os/storage.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {

inline constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

// One thread.
class DirectoryStream {
 public:
  // Owns the descriptor from now on. If that fails, `opened` is false and errno is set.
  explicit DirectoryStream(UniqueFd fd) : stream_(fd ? fdopendir(fd.get()) : nullptr) {
    if (stream_ != nullptr) fd.Release();
  }
  DirectoryStream(const DirectoryStream&) = delete;
  DirectoryStream& operator=(const DirectoryStream&) = delete;
  ~DirectoryStream() {
    if (stream_ != nullptr) closedir(stream_);
  }
  bool opened() const { return stream_ != nullptr; }
  int fd() const { return dirfd(stream_); }

  // Visits all entries but "." and "..", until `visit` fails; `path` is for messages.
  template <typename Visit>
  Status ForEach(const std::string& path, Visit visit) {
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(stream_);
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      bool is_directory = entry->d_type == DT_DIR;
      if (entry->d_type == DT_UNKNOWN) {
        struct stat st {};
        if (fstatat(fd(), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
          if (errno == ENOENT) continue;
          return SystemError(errno, "cannot stat \"" + path + "/" + entry->d_name + "\"");
        }
        is_directory = S_ISDIR(st.st_mode);
      }
      VELAFS_TRY(visit(DirectoryEntry{std::string(name), is_directory}));
    }
    return errno != 0 ? SystemError(errno, "cannot list \"" + path + "\"") : Status();
  }

 private:
  DIR* stream_;
};

}  // namespace velafs::os
