// What the cases of posix_check are written with. Each case runs in a new, empty directory, as the
// working directory; names in it are short and relative. One thread.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "velafs/os/unique_fd.h"

namespace posix {

using velafs::os::UniqueFd;

// "done", or the name of errno: what a system call that returns -1 on failure came to.
std::string Outcome(long result);

enum class Kind { kFile, kDirectory, kFifo, kSocket, kSymlink, kCharacterDevice, kBlockDevice };
// Those the caller may make: device nodes are root's.
std::vector<Kind> Kinds();
// Makes a node of mode 0644, a directory of 0755, a link to "nowhere".
void Make(Kind kind, const std::string& path);
void MakeFile(const std::string& path, std::string_view content = {});
std::string ContentOf(const std::string& path);

// Of the path itself, a symbolic link too; it must be there.
struct stat Stat(const std::string& path);
bool Exists(const std::string& path);
mode_t ModeOf(const std::string& path);  // the twelve permission bits

UniqueFd Open(const std::string& path, int flags, mode_t mode = 0644);  // must succeed
std::string OpenOutcome(const std::string& path, int flags, mode_t mode = 0644);
std::vector<std::string> Names(const std::string& directory);  // sorted, without the dots

// Nanoseconds since 1970.
int64_t ToNs(const timespec& time);
timespec ToTimespec(int64_t ns);
// The least that a filesystem's clock says now, in nanoseconds since 1970.
int64_t Clock();
// The same as `before`, once the filesystem's clock has left its times behind.
struct stat Past(const struct stat& before);
// Whether `change`, a system call that must succeed, advances the time of modification, or of
// change, of `path`.
struct Advanced {
  bool mtime;
  bool ctime;
  bool operator==(const Advanced&) const = default;
};
doctest::String toString(const Advanced& advanced);
Advanced AdvancedBy(const std::string& path, const std::function<long()>& change);
inline constexpr Advanced kBoth{true, true};
inline constexpr Advanced kNeither{false, false};
inline constexpr Advanced kOnlyCtime{false, true};

// The caller is another user for as long as it lives. Root only.
class As {
 public:
  explicit As(uid_t user, gid_t group, const std::vector<gid_t>& others = {});
  As(const As&) = delete;
  As& operator=(const As&) = delete;
  ~As();
};
inline constexpr uid_t kAlice = 65501, kBob = 65502;
inline constexpr gid_t kStaff = 65511, kGuests = 65512, kOthers = 65513;

// Another umask for as long as it lives.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { umask(before_); }

 private:
  mode_t before_;
};

// Runs `body` in a child process and returns how that ended: the exit status, which is the body's
// result, or the negative of the signal.
int InChild(const std::function<int()>& body);

}  // namespace posix
