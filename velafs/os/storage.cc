#include "velafs/os/storage.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "velafs/os/descriptor_pool.h"
#include "velafs/os/directory_stream.h"
#include "velafs/os/remove_tree.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {
namespace {

constexpr TimeNs kNsPerSecond = 1'000'000'000;
constexpr mode_t kFileMode = 0600;

// The failure of the system call that has just returned, named by what it was for.
Status LastError(const char* action, const std::string& path) {
  const int error_number = errno;
  return SystemError(error_number, std::string("cannot ") + action + " \"" + path + "\"");
}

// Calls `call` until a signal does not interrupt it.
template <typename Call>
auto Retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

timespec ToTimespec(TimeNs time) {
  TimeNs seconds = time / kNsPerSecond;
  TimeNs rest = time % kNsPerSecond;
  if (rest < 0) {  // before 1970: tv_nsec counts forwards all the same
    rest += kNsPerSecond;
    --seconds;
  }
  return {.tv_sec = seconds, .tv_nsec = rest};
}

FileInfo ToFileInfo(const struct stat& st) {
  FileInfo info;
  info.is_directory = S_ISDIR(st.st_mode);
  info.size_bytes = static_cast<uint64_t>(st.st_size);
  info.allocated_bytes = static_cast<uint64_t>(st.st_blocks) * 512;  // st_blocks' unit, always
  info.atime = ToTimeNs(st.st_atim);
  info.mtime = ToTimeNs(st.st_mtim);
  info.ctime = ToTimeNs(st.st_ctim);
  return info;
}

class HostFile : public File {
 public:
  HostFile(DescriptorPool& pool, UniqueFd fd, const std::string& path, int flags)
      : descriptor_(pool, std::move(fd), path, flags) {}

  Result<size_t> Read(uint64_t offset_bytes, std::span<std::byte> into) override {
    VELAFS_ASSIGN(const auto file, descriptor_.Take());
    size_t done = 0;
    while (done < into.size()) {
      const ssize_t got = Retried([&] {
        return pread(file.fd(), into.data() + done, into.size() - done,
                     static_cast<off_t>(offset_bytes + done));
      });
      if (got < 0) return LastError("read", path());
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Status Write(uint64_t offset_bytes, std::span<const std::byte> data) override {
    VELAFS_ASSIGN(const auto file, descriptor_.Take());
    Status written = WriteAll(file.fd(), offset_bytes, data);
    // Afterwards: a sync that began before the write was made may have missed it.
    descriptor_.NoteWrite();
    return written;
  }

  Status Truncate(uint64_t size_bytes) override {
    VELAFS_ASSIGN(const auto file, descriptor_.Take());
    const int result =
        Retried([&] { return ftruncate(file.fd(), static_cast<off_t>(size_bytes)); });
    return result < 0 ? LastError("truncate", path()) : Status();
  }

  Status Allocate(ByteRange range, bool keep_size) override {
    return Fallocate(keep_size ? FALLOC_FL_KEEP_SIZE : 0, range, "reserve space in");
  }

  Status PunchHole(ByteRange range) override {
    return Fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range, "free space in");
  }

  Result<uint64_t> SeekData(uint64_t offset_bytes) override {
    return Seek(offset_bytes, SEEK_DATA);
  }
  Result<uint64_t> SeekHole(uint64_t offset_bytes) override {
    return Seek(offset_bytes, SEEK_HOLE);
  }

  void WillNeed(ByteRange range) override {
    const auto file = descriptor_.Take();
    if (!file.ok()) return;
    posix_fadvise(file->fd(), static_cast<off_t>(range.offset_bytes),
                  static_cast<off_t>(range.length_bytes), POSIX_FADV_WILLNEED);
  }

  Status Sync(SyncKind kind) override {
    VELAFS_ASSIGN(const auto file, descriptor_.Take());
    VELAFS_TRY(descriptor_.BeginSync());
    // Never tried again, not even after EINTR: the kernel reports a lost write once only.
    const int result = kind == SyncKind::kData ? fdatasync(file.fd()) : fsync(file.fd());
    return result < 0 ? LastError("sync", path()) : Status();
  }

  Result<FileInfo> Stat() override {
    VELAFS_ASSIGN(const auto file, descriptor_.Take());
    struct stat st {};
    if (fstat(file.fd(), &st) < 0) return LastError("stat", path());
    return ToFileInfo(st);
  }

  Status SetTimes(TimeNs atime, TimeNs mtime) override {
    VELAFS_ASSIGN(const auto file, descriptor_.Take());
    const timespec times[2] = {ToTimespec(atime), ToTimespec(mtime)};
    return futimens(file.fd(), times) < 0 ? LastError("set times of", path()) : Status();
  }

 private:
  const std::string& path() const { return descriptor_.path(); }

  Status WriteAll(int fd, uint64_t offset_bytes, std::span<const std::byte> data) {
    while (!data.empty()) {
      const ssize_t put = Retried(
          [&] { return pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset_bytes)); });
      if (put < 0) return LastError("write", path());
      if (put == 0) return SystemError(EIO, "cannot write \"" + path() + "\"");
      data = data.subspan(static_cast<size_t>(put));
      offset_bytes += static_cast<size_t>(put);
    }
    return {};
  }

  Status Fallocate(int mode, ByteRange range, const char* action) {
    VELAFS_ASSIGN(const auto file, descriptor_.Take());
    const int result = Retried([&] {
      return fallocate(file.fd(), mode, static_cast<off_t>(range.offset_bytes),
                       static_cast<off_t>(range.length_bytes));
    });
    return result < 0 ? LastError(action, path()) : Status();
  }

  // Moves the descriptor's own position too, which nothing here uses.
  Result<uint64_t> Seek(uint64_t offset_bytes, int whence) {
    VELAFS_ASSIGN(const auto file, descriptor_.Take());
    const off_t found = lseek(file.fd(), static_cast<off_t>(offset_bytes), whence);
    if (found < 0) return LastError("seek in", path());
    return static_cast<uint64_t>(found);
  }

  PooledDescriptor descriptor_;
};

int OpenFlags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR;
    case OpenMode::kCreate:
      return O_RDWR | O_CREAT;
    case OpenMode::kCreateNew:
      return O_RDWR | O_CREAT | O_EXCL;
  }
  VELAFS_CHECK(false && "an open mode without flags");
  return 0;
}

class Host : public Storage {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    UniqueFd fd(
        Retried([&] { return open(path.c_str(), OpenFlags(mode) | O_CLOEXEC, kFileMode); }));
    if (!fd) return LastError("open", path);
    const int flags = mode == OpenMode::kRead ? O_RDONLY : O_RDWR;
    return std::unique_ptr<File>(std::make_unique<HostFile>(pool_, std::move(fd), path, flags));
  }

  Status MakeDirectory(const std::string& path, uint32_t mode) override {
    if (mkdir(path.c_str(), mode) < 0) return LastError("make directory", path);
    return chmod(path.c_str(), mode) < 0 ? LastError("set mode of", path) : Status();
  }

  // ext4 puts a directory into the block group of the one it is in, with the inodes of its files.
  // One without a journal gives no inode again for some minutes, and each new file has it pass over
  // all of its group that were freed lately.
  void SpreadDirectories(const std::string& path) override {
    const UniqueFd fd(Retried([&] { return open(path.c_str(), kDirectoryFlags); }));
    unsigned flags = 0;
    if (!fd || ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) < 0 || (flags & FS_TOPDIR_FL) != 0) return;
    flags |= FS_TOPDIR_FL;
    ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);
  }

  Status RemoveFile(const std::string& path) override {
    return unlink(path.c_str()) < 0 ? LastError("remove", path) : Status();
  }

  Status RemoveTree(const std::string& path) override {
    struct stat st {};
    if (lstat(path.c_str(), &st) == 0 && !S_ISDIR(st.st_mode)) {
      errno = ENOTDIR;
      return LastError("remove", path);
    }
    return os::RemoveTree(AT_FDCWD, path);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) == 0) return {};
    const int error_number = errno;
    return SystemError(error_number, "cannot rename \"" + from + "\" to \"" + to + "\"");
  }

  Result<std::vector<DirectoryEntry>> List(const std::string& path) override {
    DirectoryStream directory(
        UniqueFd(Retried([&] { return open(path.c_str(), kDirectoryFlags); })));
    if (!directory.opened()) return LastError("list", path);
    std::vector<DirectoryEntry> entries;
    VELAFS_TRY(directory.ForEach(path, [&entries](DirectoryEntry entry) {
      entries.push_back(std::move(entry));
      return Status();
    }));
    return entries;
  }

  Result<FileInfo> Stat(const std::string& path) override {
    struct stat st {};
    if (stat(path.c_str(), &st) < 0) return LastError("stat", path);
    return ToFileInfo(st);
  }

  Status SyncDirectory(const std::string& path) override {
    const UniqueFd fd(Retried([&] { return open(path.c_str(), kDirectoryFlags); }));
    if (!fd) return LastError("open", path);
    return fsync(fd.get()) < 0 ? LastError("sync", path) : Status();
  }

  Result<SpaceInfo> Space(const std::string& path) override {
    struct statvfs st {};
    if (Retried([&] { return statvfs(path.c_str(), &st); }) < 0) {
      return LastError("measure the space at", path);
    }
    SpaceInfo info;
    info.block_bytes = st.f_frsize;
    info.total_blocks = st.f_blocks;
    info.free_blocks = st.f_bfree;
    info.available_blocks = st.f_bavail;
    info.total_files = st.f_files;
    info.free_files = st.f_ffree;
    return info;
  }

 private:
  DescriptorPool pool_;
};

}  // namespace

Storage& HostStorage() {
  static Host host;
  return host;
}

}  // namespace velafs::os
