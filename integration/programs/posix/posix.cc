#include "integration/programs/posix/posix.h"

#include <dirent.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace posix {

std::string Outcome(long result) {
  if (result != -1) return "done";
  const char* name = strerrorname_np(errno);
  return name != nullptr ? name : std::to_string(errno);
}

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds = {Kind::kFile, Kind::kDirectory, Kind::kFifo, Kind::kSocket,
                             Kind::kSymlink};
  if (geteuid() == 0) {
    kinds.push_back(Kind::kCharacterDevice);
    kinds.push_back(Kind::kBlockDevice);
  }
  return kinds;
}

void Make(Kind kind, const std::string& path) {
  const Umask mask(022);
  switch (kind) {
    case Kind::kFile:
      return MakeFile(path);
    case Kind::kDirectory:
      REQUIRE(Outcome(mkdir(path.c_str(), 0755)) == "done");
      return;
    case Kind::kFifo:
      REQUIRE(Outcome(mkfifo(path.c_str(), 0644)) == "done");
      return;
    case Kind::kSocket:
      REQUIRE(Outcome(mknod(path.c_str(), S_IFSOCK | 0644, 0)) == "done");
      return;
    case Kind::kSymlink:
      REQUIRE(Outcome(symlink("nowhere", path.c_str())) == "done");
      return;
    case Kind::kCharacterDevice:
      REQUIRE(Outcome(mknod(path.c_str(), S_IFCHR | 0644, makedev(1, 3))) == "done");
      return;
    case Kind::kBlockDevice:
      REQUIRE(Outcome(mknod(path.c_str(), S_IFBLK | 0644, makedev(259, 70'000))) == "done");
      return;
  }
}

void MakeFile(const std::string& path, std::string_view content) {
  const UniqueFd file = Open(path, O_WRONLY | O_CREAT | O_TRUNC);
  REQUIRE(write(file.get(), content.data(), content.size()) ==
          static_cast<ssize_t>(content.size()));
}

std::string ContentOf(const std::string& path) {
  const UniqueFd file = Open(path, O_RDONLY);
  std::string content;
  char buffer[65536];
  ssize_t got = 0;
  while ((got = read(file.get(), buffer, sizeof buffer)) > 0) {
    content.append(buffer, static_cast<size_t>(got));
  }
  REQUIRE(Outcome(got) == "done");
  return content;
}

struct stat Stat(const std::string& path) {
  struct stat found {};
  REQUIRE_MESSAGE(Outcome(lstat(path.c_str(), &found)) == "done", path);
  return found;
}

bool Exists(const std::string& path) {
  struct stat found {};
  return lstat(path.c_str(), &found) == 0;
}

mode_t ModeOf(const std::string& path) { return Stat(path).st_mode & 07777; }

UniqueFd Open(const std::string& path, int flags, mode_t mode) {
  UniqueFd file(open(path.c_str(), flags | O_CLOEXEC, mode));
  REQUIRE_MESSAGE(Outcome(file.get()) == "done", path);
  return file;
}

std::string OpenOutcome(const std::string& path, int flags, mode_t mode) {
  const UniqueFd file(open(path.c_str(), flags | O_CLOEXEC, mode));
  return Outcome(file.get());
}

std::vector<std::string> Names(const std::string& directory) {
  DIR* stream = opendir(directory.c_str());
  REQUIRE_MESSAGE(stream != nullptr, directory);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(stream);
  std::ranges::sort(names);
  return names;
}

int64_t ToNs(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

timespec ToTimespec(int64_t ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t rest = (ns % kSecond + kSecond) % kSecond;
  return {.tv_sec = (ns - rest) / kSecond, .tv_nsec = rest};
}

int64_t Clock() {
  // Filesystems may stamp with the coarse clock, which is behind the fine one.
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  constexpr int64_t kCoarsestNs = 10'000'000;  // of a branch whose writes are cached
  return ToNs(now) / kCoarsestNs * kCoarsestNs;
}

struct stat Past(const struct stat& before) {
  const int64_t latest = std::max(ToNs(before.st_mtim), ToNs(before.st_ctim));
  do {
    usleep(1000);
  } while (Clock() <= latest);
  return before;
}

Advanced AdvancedBy(const std::string& path, const std::function<long()>& change) {
  const struct stat before = Past(Stat(path));
  CHECK(Outcome(change()) == "done");
  const struct stat after = Stat(path);
  return {.mtime = ToNs(after.st_mtim) > ToNs(before.st_mtim),
          .ctime = ToNs(after.st_ctim) > ToNs(before.st_ctim)};
}

doctest::String toString(const Advanced& advanced) {
  if (advanced.mtime) return advanced.ctime ? "both" : "mtime";
  return advanced.ctime ? "ctime" : "neither";
}

As::As(uid_t user, gid_t group, const std::vector<gid_t>& others) {
  REQUIRE(setgroups(others.size(), others.data()) == 0);
  REQUIRE(setegid(group) == 0);
  REQUIRE(seteuid(user) == 0);
}

As::~As() {
  if (seteuid(0) != 0 || setegid(0) != 0 || setgroups(0, nullptr) != 0) abort();
}

int InChild(const std::function<int()>& body) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) _exit(body());
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace posix
