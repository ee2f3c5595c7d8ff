#include "velafs/fuse/trouble_log.h"

#include <doctest/doctest.h>

namespace velafs::fuse {
namespace {

using std::chrono::seconds;

TEST_CASE("the log is told once a minute of each trouble of a branch, with what was left out") {
  TroubleLog log;
  const auto start = TroubleLog::Clock::now();
  const InstanceId one(1);
  CHECK(log.IsDue(one, "full", start) == 0);
  CHECK_FALSE(log.IsDue(one, "full", start + seconds(1)));
  CHECK_FALSE(log.IsDue(one, "full", start + seconds(59)));
  CHECK(log.IsDue(InstanceId(2), "full", start + seconds(59)) == 0);
  CHECK(log.IsDue(one, "quota", start + seconds(59)) == 0);
  CHECK(log.IsDue(one, "full", start + seconds(60)) == 2);
  CHECK_FALSE(log.IsDue(one, "full", start + seconds(61)));
  CHECK(log.IsDue(one, "full", start + seconds(200)) == 1);
  CHECK(log.IsDue(one, "full", start + seconds(300)) == 0);
}

TEST_CASE("the log is told of no more than a thousand troubles a minute") {
  TroubleLog log;
  const auto start = TroubleLog::Clock::now();
  int told = 0;
  for (int i = 0; i < 5000; ++i) {
    if (log.IsDue(InstanceId(1), "chunk " + std::to_string(i), start)) ++told;
  }
  CHECK(told == 1001);
  CHECK(log.IsDue(InstanceId(1), "new", start + seconds(60)) == 0);
}

}  // namespace
}  // namespace velafs::fuse
