#include "velafs/fuse/full_log.h"

#include <doctest/doctest.h>

namespace velafs::fuse {
namespace {

TEST_CASE("the log is told once an hour of a branch that finds no room") {
  using std::chrono::minutes;
  FullLog log;
  const auto start = FullLog::Clock::now();
  CHECK(log.IsDue(InstanceId(1), start));
  CHECK_FALSE(log.IsDue(InstanceId(1), start + minutes(59)));
  CHECK(log.IsDue(InstanceId(2), start + minutes(59)));
  CHECK(log.IsDue(InstanceId(1), start + minutes(60)));
  CHECK_FALSE(log.IsDue(InstanceId(2), start + minutes(60)));
  CHECK_FALSE(log.IsDue(InstanceId(1), start + minutes(61)));
}

}  // namespace
}  // namespace velafs::fuse
