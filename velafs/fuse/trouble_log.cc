#include "velafs/fuse/trouble_log.h"

namespace velafs::fuse {

std::optional<uint64_t> TroubleLog::IsDue(InstanceId branch, const std::string& trouble,
                                          Clock::time_point now) {
  MutexLock lock(mutex_);
  std::pair key(branch, trouble);
  if (!told_.contains(key) && told_.size() >= kMostTroubles) {
    std::erase_if(told_, [now](const auto& one) { return now - one.second.when >= kInterval; });
    if (told_.size() >= kMostTroubles) key = {InstanceId(0), ""};
  }
  const auto [found, is_new] = told_.try_emplace(std::move(key), Told{now});
  Told& told = found->second;
  if (!is_new && now - told.when < kInterval) {
    ++told.since;
    return std::nullopt;
  }
  told.when = now;
  return std::exchange(told.since, 0);
}

}  // namespace velafs::fuse
