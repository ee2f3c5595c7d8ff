#include "velafs/os/space_reserve.h"

#include <algorithm>
#include <cerrno>
#include <memory>

namespace velafs::os {
namespace {

// Whatever else runs on the disk takes its share of what is given back: more than one try is left.
constexpr int kParts = 4;
constexpr uint64_t kPartBytes = SpaceReserve::kBytes / kParts;
// A full disk may lack inodes, not blocks, and says the same. So each part comes with empty files.
constexpr int kFilesOfPart = 4;
constexpr int kFiles = kParts * kFilesOfPart;

std::string FilePath(const std::string& reserve, int number) {
  return reserve + "." + std::to_string(number);
}

}  // namespace

bool IsOutOfSpace(const Status& status) {
  return status.error_number() == ENOSPC || status.error_number() == EDQUOT;
}

bool SpaceReserve::GiveBack() {
  MutexLock lock(mutex_);
  const bool has_given_files = GiveBackFiles();
  return GiveBackBytes() || has_given_files;
}

bool SpaceReserve::GiveBackFiles() {
  int given = 0;
  for (int number = 0; number < kFiles && given < kFilesOfPart; ++number) {
    if (storage_.RemoveFile(FilePath(path_, number)).ok()) ++given;
  }
  if (given > 0) is_whole_ = false;
  return given > 0;
}

bool SpaceReserve::GiveBackBytes() {
  const auto file = storage_.Open(path_, OpenMode::kReadWrite);
  if (!file.ok()) return false;
  const auto info = (*file)->Stat();
  if (!info.ok() || info->size_bytes == 0) return false;
  is_whole_ = false;
  return (*file)->Truncate(info->size_bytes - std::min(info->size_bytes, kPartBytes)).ok();
}

void SpaceReserve::Refill() {
  if (is_whole_) return;
  MutexLock lock(mutex_);
  is_whole_ = RefillBytes() && RefillFiles();
}

bool SpaceReserve::RefillBytes() {
  const auto file = storage_.Open(path_, OpenMode::kCreate);
  if (!file.ok()) return false;
  const auto info = (*file)->Stat();
  if (!info.ok()) return false;
  if (info->size_bytes >= kBytes) return true;
  const Status kept = (*file)->Allocate({0, kBytes}, false);
  // Part of the space may have been allocated all the same, past the end of the file.
  if (!kept.ok()) static_cast<void>((*file)->Truncate(info->size_bytes));
  // A host that cannot allocate has no blocks in reserve.
  return kept.ok() || kept.error_number() == EOPNOTSUPP;
}

bool SpaceReserve::RefillFiles() {
  for (int number = 0; number < kFiles; ++number) {
    if (!storage_.Open(FilePath(path_, number), OpenMode::kCreate).ok()) return false;
  }
  return true;
}

}  // namespace velafs::os
