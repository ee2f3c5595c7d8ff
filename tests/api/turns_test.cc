#include "velafs/api/turns.h"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <thread>

namespace velafs::api {
namespace {

TEST_CASE("of a guest so many go on at a time, and nobody else waits for them") {
  Turns turns(2);
  std::optional<Turns::Turn> first(turns.WaitForTurn(Guest(1)));
  const auto second = turns.WaitForTurn(Guest(1));
  const auto of_other = turns.WaitForTurn(Guest(2));
  const auto of_admin = turns.WaitForTurn({});
  std::atomic<bool> has_ended = false;
  std::atomic<bool> waited = false;
  std::thread third([&] {
    const auto turn = turns.WaitForTurn(Guest(1));
    waited = has_ended.load();
  });
  const auto again_of_admin = turns.WaitForTurn({});
  has_ended = true;
  first.reset();
  third.join();
  CHECK(waited);
}

}  // namespace
}  // namespace velafs::api
