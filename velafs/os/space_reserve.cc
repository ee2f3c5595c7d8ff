#include "velafs/os/space_reserve.h"

#include <algorithm>
#include <cerrno>
#include <memory>

namespace velafs::os {
namespace {

// Whatever else runs on the disk takes its share of what is given back: more than one try is left.
constexpr uint64_t kPartBytes = SpaceReserve::kBytes / 4;

}  // namespace

bool IsOutOfSpace(const Status& status) {
  return status.error_number() == ENOSPC || status.error_number() == EDQUOT;
}

bool SpaceReserve::GiveBack() {
  MutexLock lock(mutex_);
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
  const auto file = storage_.Open(path_, OpenMode::kCreate);
  if (!file.ok()) return;
  const auto info = (*file)->Stat();
  if (!info.ok()) return;
  if (info->size_bytes >= kBytes) {
    is_whole_ = true;
    return;
  }
  const Status kept = (*file)->Allocate(0, kBytes, false);
  // A host that cannot allocate has no reserve.
  is_whole_ = kept.ok() || kept.error_number() == EOPNOTSUPP;
  // Part of the space may have been allocated all the same, past the end of the file.
  if (!kept.ok()) static_cast<void>((*file)->Truncate(info->size_bytes));
}

}  // namespace velafs::os
