#include "pgctl-wrapper/pool/pool_dir.h"

#include <doctest/doctest.h>

#include <filesystem>

using namespace velafs;
using namespace velafs::pgctl;

namespace {

// A place for pools.
class PoolFixture {
 public:
  PoolFixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "velapg.XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    place = pattern;
  }
  ~PoolFixture() { std::filesystem::remove_all(place); }

  std::string place;
};

PoolPlan SomePlan() {
  PoolPlan plan;
  plan.source = "main";
  plan.state = "main@pool-main-01234567";
  plan.size = 4;
  plan.user = "app";
  plan.dbname = "app_test";
  plan.start.pgbin = "/pg/bin";
  plan.start.timeout = std::chrono::seconds(90);
  plan.start.standby = true;
  plan.start.network = Network::kLoopback;
  plan.start.overrides = {true, true, true, MemoryProfile::kInherit};
  return plan;
}

}  // namespace

TEST_CASE("a pool's plan comes back from its text as it was") {
  const PoolPlan plan = SomePlan();
  const Result<PoolPlan> read = PoolPlanFromText(PoolPlanToText(plan));
  REQUIRE(read.ok());
  CHECK(read->source == plan.source);
  CHECK(read->state == plan.state);
  CHECK(read->size == plan.size);
  CHECK(read->user == plan.user);
  CHECK(read->dbname == plan.dbname);
  CHECK(read->start.pgbin == plan.start.pgbin);
  CHECK(read->start.timeout == plan.start.timeout);
  CHECK(read->start.standby);
  CHECK(read->start.network == Network::kLoopback);
  CHECK(read->start.overrides.as_is);
  CHECK(read->start.overrides.tcp);
  CHECK(read->start.overrides.strict);
  CHECK(read->start.overrides.memory == MemoryProfile::kInherit);
}

TEST_CASE("a plan without a network is one of isolated servers") {
  PoolPlan plan = SomePlan();
  plan.start.network.reset();
  const Result<PoolPlan> read = PoolPlanFromText(PoolPlanToText(plan));
  REQUIRE(read.ok());
  CHECK(read->start.network == std::nullopt);
}

TEST_CASE("a plan that was cut off or is something else is a failure, not a crash") {
  const std::string text = PoolPlanToText(SomePlan());
  for (size_t length = 0; length + 2 < text.size(); ++length) {
    CHECK_FALSE(PoolPlanFromText(text.substr(0, length)).ok());
  }
  CHECK_FALSE(PoolPlanFromText("[]").ok());
  CHECK_FALSE(PoolPlanFromText("{\"size\":\"many\"}").ok());
}

TEST_CASE("a pool is there from its making to its removal") {
  const PoolFixture fixture;
  const PoolDir pool(fixture.place, "main");
  CHECK(PoolDir::Names(fixture.place).empty());
  CHECK(pool.Lock(PoolDir::Right::kTake).status().code() == Code::kNotFound);
  REQUIRE(pool.Make().ok());
  REQUIRE(pool.Make().ok());
  CHECK(PoolDir::Names(fixture.place) == std::vector<std::string>{"main"});
  CHECK(pool.ReadPlan().ok());
  CHECK_FALSE(pool.ReadPlan()->has_value());
  REQUIRE(pool.WritePlan(SomePlan()).ok());
  CHECK((*pool.ReadPlan())->size == 4);
  REQUIRE(pool.Remove().ok());
  CHECK_FALSE(std::filesystem::exists(fixture.place));
}

TEST_CASE("each right is held by one at a time, and independent of the others") {
  const PoolFixture fixture;
  const PoolDir pool(fixture.place, "main");
  REQUIRE(pool.Make().ok());
  Result<UniqueFd> held = pool.Lock(PoolDir::Right::kFill);
  REQUIRE(held.ok());
  Result<UniqueFd> second = pool.TryLock(PoolDir::Right::kFill);
  REQUIRE(second.ok());
  CHECK_FALSE(*second);
  CHECK(*pool.TryLock(PoolDir::Right::kTake));
  CHECK(*pool.TryLock(PoolDir::Right::kNext));
  held = UniqueFd();
  CHECK(*pool.TryLock(PoolDir::Right::kFill));
}

TEST_CASE("a right to a pool that is gone is no right to the next one of its name") {
  const PoolFixture fixture;
  const PoolDir pool(fixture.place, "main");
  REQUIRE(pool.Make().ok());
  const Result<UniqueFd> old = pool.Lock(PoolDir::Right::kFill);
  REQUIRE(pool.Remove().ok());
  REQUIRE(pool.Make().ok());
  CHECK(*pool.TryLock(PoolDir::Right::kFill));
}
