// The only system calls on a store's backing storage, behind an interface that tests can make fail
// or power off. Paths are absolute. Failures carry the system call's errno and name the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "velafs/base/byte_range.h"
#include "velafs/base/status.h"
#include "velafs/base/units.h"

namespace velafs::os {

enum class OpenMode {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreate,     // read and write; made with mode 0600 if missing
  kCreateNew,  // read and write; EEXIST if it is there
};

enum class SyncKind {
  kData,  // fdatasync: content, and the size needed to read it
  kFull,  // fsync: times too
};

struct FileInfo {
  bool is_directory = false;
  uint64_t size_bytes = 0;
  uint64_t allocated_bytes = 0;
  TimeNs atime = 0;
  TimeNs mtime = 0;
  TimeNs ctime = 0;
};

struct SpaceInfo {
  uint64_t block_bytes = 0;
  uint64_t total_blocks = 0;
  uint64_t free_blocks = 0;
  uint64_t available_blocks = 0;
  uint64_t total_files = 0;
  uint64_t free_files = 0;
};

// An open file. Thread-safe. The destructor closes it and does not sync. There may be more of them
// than a process may have descriptors: so the file's name must not change while it is open.
class File {
 public:
  virtual ~File() = default;
  // Reads until `into` is full or the file ends; returns the bytes read.
  virtual Result<size_t> Read(uint64_t offset_bytes, std::span<std::byte> into) = 0;
  // A hint that the range will be read soon.
  virtual void WillNeed(ByteRange range) { static_cast<void>(range); }
  // Writes all of `data`, or fails; a failure may have written a part.
  virtual Status Write(uint64_t offset_bytes, std::span<const std::byte> data) = 0;
  virtual Status Truncate(uint64_t size_bytes) = 0;
  // Reserves disk space for the range without changing its content; `keep_size` as in
  // FALLOC_FL_KEEP_SIZE. EOPNOTSUPP if the host filesystem cannot.
  virtual Status Allocate(ByteRange range, bool keep_size) = 0;
  // Makes the range read as zeros and frees its space; the size stays. EOPNOTSUPP as above.
  virtual Status PunchHole(ByteRange range) = 0;
  // First byte of data, or of a hole, at or after the offset; ENXIO at or past the end.
  virtual Result<uint64_t> SeekData(uint64_t offset_bytes) = 0;
  virtual Result<uint64_t> SeekHole(uint64_t offset_bytes) = 0;
  // Durable on return. After a failure, any change that was not durable before may be lost.
  virtual Status Sync(SyncKind kind) = 0;
  virtual Result<FileInfo> Stat() = 0;
  virtual Status SetTimes(TimeNs atime, TimeNs mtime) = 0;
};

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
};

// A filesystem to keep a store on. Thread-safe.
class Storage {
 public:
  virtual ~Storage() = default;
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // The umask does not apply. EEXIST if it is there.
  virtual Status MakeDirectory(const std::string& path, uint32_t mode) = 0;
  // A hint: directories that are made in this one need not lie near to each other on disk. Some
  // filesystems ignore it.
  virtual void SpreadDirectories(const std::string& path) { static_cast<void>(path); }
  virtual Status RemoveFile(const std::string& path) = 0;
  // Removes the directory with everything in it; success if it is missing.
  virtual Status RemoveTree(const std::string& path) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // Without "." and "..", in no order.
  virtual Result<std::vector<DirectoryEntry>> List(const std::string& path) = 0;
  // ENOENT if it is missing.
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  // Makes the directory's entries (files made, removed, renamed in it) durable.
  virtual Status SyncDirectory(const std::string& path) = 0;
  virtual Result<SpaceInfo> Space(const std::string& path) = 0;
};

// The host's own filesystem. Lives for the whole process.
Storage& HostStorage();

}  // namespace velafs::os
