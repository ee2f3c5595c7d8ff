// The directory that an export writes.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::cli {

// Until the export is complete, its files are in a directory that only this user may enter, so that
// their owners cannot interfere. If it fails, nothing is left. One thread.
class DirectoryTarget {
 public:
  DirectoryTarget() = default;
  ~DirectoryTarget();
  DirectoryTarget(const DirectoryTarget&) = delete;
  DirectoryTarget& operator=(const DirectoryTarget&) = delete;

  // Refused unless `path` is not there, or an empty directory.
  Status Prepare(const std::string& path);
  // The directory to be filled.
  int work_fd() const { return work_.get(); }
  // Makes it durable and renames it to its path. If that was an empty directory, moves the content
  // into it, and sets its mode and owner.
  Status Publish();
  const std::string& path() const { return path_; }

 private:
  Status OpenPlace();
  Status Close();
  void RestorePlace();
  Status ClaimName();
  Status MoveIn();
  void RemovePrivate();

  std::string path_;
  std::string name_;          // of the directory made in `place_`; empty if it existed
  os::UniqueFd place_;        // the directory that was there, or the one above that is made
  std::string private_name_;  // in `place_`; empty before it is made, and once it is gone
  os::UniqueFd private_;
  os::UniqueFd work_;                  // in `private_`
  std::optional<struct stat> before_;  // of `place_`, once it is closed to others
  std::vector<std::string> moved_;     // into `place_`, of an export that may still fail
};

}  // namespace velafs::cli
