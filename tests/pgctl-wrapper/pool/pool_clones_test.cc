#include "pgctl-wrapper/pool/pool_clones.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

namespace {

const CloneFact kUp{CloneState::kReady, true};
const CloneFact kDown{CloneState::kReady, false};
const CloneFact kOut{CloneState::kTaken, true};
const CloneFact kBegun{CloneState::kFilling, false};
const CloneFact kBack{CloneState::kReleased, true};

FillStep Next(const std::vector<CloneFact>& clones, size_t size) {
  return NextFillStep(clones, size, size);
}

}  // namespace

TEST_CASE("a pool is filled up to its size, whatever is taken") {
  CHECK(Next({}, 2) == FillStep{FillStep::kMake, 0});
  CHECK(Next({kUp}, 2) == FillStep{FillStep::kMake, 0});
  CHECK(Next({kUp, kOut, kOut}, 2) == FillStep{FillStep::kMake, 0});
  CHECK(Next({kUp, kOut, kUp}, 2) == FillStep{});
}

TEST_CASE("a clone whose server has ended is started again before another is made") {
  CHECK(Next({kUp, kDown}, 2) == FillStep{FillStep::kRestart, 1});
  CHECK(Next({kUp, kDown}, 3) == FillStep{FillStep::kRestart, 1});
}

TEST_CASE("what is too much goes, the server that has ended first") {
  CHECK(Next({kUp, kUp, kUp}, 2).kind == FillStep::kRetire);
  CHECK(Next({kUp, kUp, kDown}, 2) == FillStep{FillStep::kRetire, 2});
  CHECK(Next({kUp, kOut}, 0) == FillStep{FillStep::kRetire, 0});
}

TEST_CASE("what was released, or begun and never ended, goes once the pool is full") {
  CHECK(Next({kBack, kBegun}, 1) == FillStep{FillStep::kMake, 0});
  CHECK(Next({kBack, kUp, kBegun}, 1) == FillStep{FillStep::kThrowAway, 0});
  CHECK(Next({kUp, kBegun}, 1) == FillStep{FillStep::kThrowAway, 1});
  CHECK(Next({kBegun, kOut}, 0) == FillStep{FillStep::kThrowAway, 0});
  CHECK(Next({kOut}, 0) == FillStep{});
}

TEST_CASE("who needs one clone makes one, and leaves the rest to others") {
  CHECK(NextFillStep({kOut}, 4, 1) == FillStep{FillStep::kMake, 0});
  CHECK(NextFillStep({kUp, kBack}, 4, 1) == FillStep{});
  CHECK(NextFillStep({kDown}, 4, 1) == FillStep{FillStep::kRestart, 0});
}
