// Parses an archive in a process of its own.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/cli/archive_members.h"
#include "velafs/os/unique_fd.h"

namespace velafs::cli {

// The archives of a PGDATA, opened with the rights of the command's user, and parsed by a process
// that can do nothing else. The members' stream says what is wrong with an archive.
class ArchiveProcess {
 public:
  ArchiveProcess() = default;
  ~ArchiveProcess();  // ends the process
  ArchiveProcess(const ArchiveProcess&) = delete;
  ArchiveProcess& operator=(const ArchiveProcess&) = delete;

  // For an archive, "-" for standard input, or base.tar in a directory, compressed or not; other
  // archives of a base backup beside it are read, too. Call it once, before this process has other
  // threads.
  Status Start(const std::string& tar);

  // A ReadFn of the stream of members. Failed("interrupted") if this command was interrupted. One
  // thread.
  Result<size_t> Read(std::span<std::byte> into);
  // From any thread: stops reading.
  void Stop();

  // How much of the first archive was read, and how much there is; 0 when it is not known.
  uint64_t bytes_read() const;
  uint64_t bytes_total() const { return bytes_total_; }

 private:
  Status Open(const std::string& tar);
  void OpenBeside(const std::string& tar);
  Status End();

  os::UniqueFd first_;
  std::vector<os::UniqueFd> opened_;
  std::vector<OpenArchive> others_;
  uint64_t bytes_total_ = 0;
  os::UniqueFd members_;
  pid_t pid_ = 0;
  std::atomic<bool> stop_ = false;
};

}  // namespace velafs::cli
