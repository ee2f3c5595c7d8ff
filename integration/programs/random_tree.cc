// Several processes do random operations on the names of one tree. Afterwards what is there must
// agree with itself: a directory's links with its subdirectories, a file's with its names, listings
// with stat.
//
//   random_tree DIRECTORY [--seconds N] [--seed N] [--processes N]
//   random_tree DIRECTORY --list      prints the tree, a line for each name, in a fixed order
//
// An operation may fail only as such an operation can when others interfere. Status 1 when
// something is wrong.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

std::string top;

// ---- The load
// --------------------------------------------------------------------------------------

class Worker {
 public:
  explicit Worker(unsigned seed) : random_(seed) {}

  bool Step();  // false when something failed as it must not
  unsigned long done() const { return done_; }

 private:
  size_t Pick(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }
  // A path that is often there: few names, on up to four levels.
  std::string Path();
  bool Check(const char* operation, const std::string& path, long result,
             std::initializer_list<int> may_be = {});
  bool ChangeFile(const std::string& path);
  bool List(const std::string& path);
  bool HoldUnlinked(const std::string& path);

  std::mt19937 random_;
  unsigned long done_ = 0;
};

std::string Worker::Path() {
  std::string path = top;
  const size_t depth = 1 + Pick(4);
  for (size_t i = 0; i < depth; ++i) {
    path += i + 1 < depth || Pick(3) == 0 ? "/d" : "/f";
    path += std::to_string(Pick(6));
  }
  return path;
}

bool Worker::Check(const char* operation, const std::string& path, long result,
                   std::initializer_list<int> may_be) {
  if (result >= 0) {
    ++done_;
    return true;
  }
  const int error_number = errno;
  // Anything on the way may be missing by now, a file, or a link to a link.
  for (int missing : {ENOENT, ENOTDIR, ELOOP}) {
    if (error_number == missing) return true;
  }
  if (std::ranges::find(may_be, error_number) != may_be.end()) return true;
  std::printf("%s %s: %s\n", operation, path.c_str(), std::strerror(error_number));
  return false;
}

bool Worker::ChangeFile(const std::string& path) {
  const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (Pick(3) == 0 ? O_CREAT : 0);
  const int file = open(path.c_str(), flags, 0600);
  if (file < 0) return Check("open", path, file, {EISDIR, ENXIO});
  struct stat info {};
  bool ok = Check("fstat", path, fstat(file, &info));
  if (ok && S_ISREG(info.st_mode)) {
    const std::string data(1 + Pick(20'000), static_cast<char>('a' + Pick(26)));
    const auto at = static_cast<off_t>(Pick(50'000));
    ok = Check("pwrite", path, pwrite(file, data.data(), data.size(), at));
    if (Pick(4) == 0) ok &= Check("ftruncate", path, ftruncate(file, at));
    if (Pick(8) == 0) ok &= Check("fsync", path, fsync(file));
  }
  close(file);
  return ok;
}

// While others change the directory: each name once.
bool Worker::List(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = path.substr(0, slash);
  DIR* stream = opendir(directory.c_str());
  if (stream == nullptr) return Check("opendir", directory, -1);
  std::set<std::string> seen;
  bool ok = true;
  while (const dirent* entry = readdir(stream)) {
    if (!seen.insert(entry->d_name).second) {
      std::printf("readdir %s: \"%s\" twice\n", directory.c_str(), entry->d_name);
      ok = false;
    }
  }
  if (Pick(4) == 0) ok &= Check("fsync", directory, fsync(dirfd(stream)));
  closedir(stream);
  ++done_;
  return ok;
}

bool Worker::HoldUnlinked(const std::string& path) {
  const std::string name = path + "-" + std::to_string(getpid());
  const int file = open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  // One of this name is still there when its directory was moved away before it could be unlinked.
  if (file < 0) return Check("create", name, file, {EEXIST});
  bool ok = Check("pwrite", name, pwrite(file, "held", 4, 9'000));
  ok &= Check("unlink", name, unlink(name.c_str()));
  ok &= ChangeFile(Path());
  char found[4] = {};
  if (pread(file, found, 4, 9'000) != 4 || std::memcmp(found, "held", 4) != 0) {
    std::printf("%s: not what was written\n", name.c_str());
    ok = false;
  }
  close(file);
  return ok;
}

bool Worker::Step() {
  const std::string path = Path();
  const std::string other = Path();
  const char* name = path.c_str();
  switch (Pick(18)) {
    case 0:
    case 1:
      return Check("mkdir", path, mkdir(name, 0755), {EEXIST});
    case 2:
      return Check("rmdir", path, rmdir(name), {ENOTEMPTY});
    case 3:
    case 4:
      return Check("mknod", path, mknod(name, S_IFREG | 0644, 0), {EEXIST});
    case 5:
      return Check("unlink", path, unlink(name), {EISDIR});
    case 6:
      return Check("link", path, link(name, other.c_str()), {EEXIST, EPERM});
    case 7:
      return Check("symlink", path, symlink(other.c_str(), name), {EEXIST});
    case 8:
      return Check("mkfifo", path, mkfifo(name, 0644), {EEXIST});
    case 9:
    case 10:
      return Check("rename", path, rename(name, other.c_str()), {ENOTEMPTY, EISDIR, EINVAL});
    case 11:
      return Check("exchange", path,
                   renameat2(AT_FDCWD, name, AT_FDCWD, other.c_str(), RENAME_EXCHANGE), {EINVAL});
    case 12:
      return Check("rename without replacing", path,
                   renameat2(AT_FDCWD, name, AT_FDCWD, other.c_str(), RENAME_NOREPLACE),
                   {EEXIST, EINVAL});
    case 13:
      return Check("chmod", path, fchmodat(AT_FDCWD, name, Pick(2) == 0 ? 0755 : 0700, 0));
    case 14:
      return List(path);
    case 15:
      return HoldUnlinked(path);
    default:
      return ChangeFile(path);
  }
}

int Work(unsigned seed, std::chrono::seconds seconds) {
  Worker worker(seed);
  const auto end = std::chrono::steady_clock::now() + seconds;
  while (std::chrono::steady_clock::now() < end) {
    if (!worker.Step()) return 1;
  }
  std::printf("%lu operations\n", worker.done());
  return worker.done() > 0 ? 0 : 1;
}

// ---- The tree afterwards
// ---------------------------------------------------------------------------

class Walk {
 public:
  explicit Walk(bool print) : print_(print) {}
  bool Run();

 private:
  void Directory(const std::string& path, const struct stat& info);
  void Print(const std::string& path, const struct stat& info);
  void Wrong(const std::string& path, const std::string& what);

  const bool print_;
  bool ok_ = true;
  struct File {
    nlink_t links;
    nlink_t names;
    std::string path;
  };
  std::map<ino_t, File> files_;
};

void Walk::Wrong(const std::string& path, const std::string& what) {
  std::printf("%s: %s\n", path.c_str(), what.c_str());
  ok_ = false;
}

uint64_t HashOf(const std::string& path) {
  uint64_t hash = 0xcbf29ce484222325;
  if (std::FILE* file = std::fopen(path.c_str(), "r")) {
    int c = 0;
    while ((c = std::fgetc(file)) != EOF) hash = (hash ^ static_cast<unsigned>(c)) * 0x100000001b3;
    std::fclose(file);
  }
  return hash;
}

// As lstat, and always what the filesystem says: of a directory that several processes have
// changed, a kernel may keep for long what a reply said that was overtaken by a later one.
int Look(const std::string& path, struct stat* info) {
  struct statx now {};
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC;
  if (statx(AT_FDCWD, path.c_str(), kFlags, STATX_BASIC_STATS, &now) != 0) return -1;
  return lstat(path.c_str(), info);
}

void Walk::Print(const std::string& path, const struct stat& info) {
  if (!print_) return;
  std::string content;
  if (S_ISREG(info.st_mode)) content = std::to_string(HashOf(path));
  if (S_ISLNK(info.st_mode)) {
    content.resize(4096);
    content.resize(static_cast<size_t>(
        std::max<ssize_t>(0, readlink(path.c_str(), content.data(), content.size()))));
  }
  std::printf(
      "%s ino=%lu mode=%o links=%lu owner=%u:%u size=%ld mtime=%ld.%09ld ctime=%ld.%09ld %s\n",
      path.substr(top.size()).c_str(), info.st_ino, info.st_mode, info.st_nlink, info.st_uid,
      info.st_gid, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
      info.st_ctim.tv_nsec, content.c_str());
}

void Walk::Directory(const std::string& path, const struct stat& info) {
  DIR* stream = opendir(path.c_str());
  if (stream == nullptr) return Wrong(path, std::strerror(errno));
  std::map<std::string, dirent> entries;
  while (const dirent* entry = readdir(stream)) {
    if (!entries.emplace(entry->d_name, *entry).second) Wrong(path + "/" + entry->d_name, "twice");
  }
  closedir(stream);
  if (entries.erase(".") + entries.erase("..") != 2) Wrong(path, "without its dots");
  nlink_t links = 2;
  for (const auto& [name, entry] : entries) {
    const std::string below = path + "/" + name;
    struct stat found {};
    if (Look(below, &found) != 0) {
      Wrong(below, std::strerror(errno));
      continue;
    }
    if (entry.d_ino != found.st_ino) Wrong(below, "another inode in the listing");
    if (entry.d_type != IFTODT(found.st_mode)) Wrong(below, "another type in the listing");
    Print(below, found);
    if (S_ISDIR(found.st_mode)) {
      ++links;
      Directory(below, found);
    } else {
      File& file = files_[found.st_ino];
      file = {found.st_nlink, file.names + 1, below};
    }
  }
  if (info.st_nlink != links) {
    Wrong(path, std::to_string(info.st_nlink) + " links, not " + std::to_string(links));
  }
}

bool Walk::Run() {
  struct stat info {};
  if (Look(top, &info) != 0) return false;
  Directory(top, info);
  for (const auto& [ino, file] : files_) {
    if (file.links == file.names) continue;
    Wrong(file.path,
          std::to_string(file.links) + " links, but names: " + std::to_string(file.names));
  }
  if (!print_) std::printf("%zu inodes that are no directories\n", files_.size());
  return ok_;
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](const char* name, unsigned long otherwise) {
    for (int i = 2; i + 1 < argc; ++i) {
      if (std::strcmp(argv[i], name) == 0) return std::strtoul(argv[i + 1], nullptr, 10);
    }
    return otherwise;
  };
  if (argc < 2) return 2;
  top = argv[1];
  if (argc > 2 && std::strcmp(argv[2], "--list") == 0) return Walk(true).Run() ? 0 : 1;
  const auto seed = static_cast<unsigned>(number("--seed", std::random_device{}()));
  const auto seconds = std::chrono::seconds(number("--seconds", 20));
  std::printf("replay with --seed %u\n", seed);
  std::fflush(stdout);
  bool ok = true;
  const auto processes = static_cast<unsigned>(number("--processes", 6));
  for (unsigned i = 0; i < processes; ++i) {
    if (fork() == 0) std::exit(Work(seed + i, seconds));
  }
  int status = 0;
  while (wait(&status) > 0) ok &= status == 0;
  return Walk(false).Run() && ok ? 0 : 1;
}
