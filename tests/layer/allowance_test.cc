#include "velafs/layer/allowance.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

namespace velafs::layer {
namespace {

TEST_CASE("without a quota anything may be taken") {
  Allowance allowance({});
  CHECK_FALSE(allowance.IsLimited());
  CHECK(allowance.Take(UINT64_MAX));
}

TEST_CASE("what a quota leaves is known once it was counted") {
  Allowance allowance(100);
  CHECK(allowance.IsLimited());
  CHECK_FALSE(allowance.Take(1));
  CHECK(allowance.Take(0));
  allowance.SetUsed(40);
  CHECK(allowance.Take(60));
  CHECK_FALSE(allowance.Take(1));
  allowance.SetUsed(200);
  CHECK_FALSE(allowance.Take(1));
  allowance.SetQuota(300);
  allowance.SetUsed(200);
  CHECK_FALSE(allowance.Take(101));
  CHECK(allowance.Take(100));
}

TEST_CASE("nothing can be taken while it is closed") {
  Allowance allowance({});
  allowance.Close(true);
  CHECK_FALSE(allowance.Take(1));
  CHECK(allowance.Take(0));
  allowance.Close(false);
  CHECK(allowance.Take(1));
}

TEST_CASE("no byte is given to two who take at once") {
  Allowance allowance(100'000);
  allowance.SetUsed(0);
  std::atomic<uint64_t> taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (allowance.Take(7)) taken += 7;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(taken == 100'000 / 7 * 7);
}

}  // namespace
}  // namespace velafs::layer
