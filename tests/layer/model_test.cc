// Random operations on several branches, against files that are plain strings, on a disk that loses
// power and fails.
//
// VELAFS_SEED replays a run, VELAFS_STEPS makes it longer; every failure prints its seed and step.
#include "tests/layer/model.h"

#include <doctest/doctest.h>

#include "tests/random.h"

namespace velafs::layer {
namespace {

using test::FromEnvironment;
using test::Seed;

TEST_CASE("branches behave as plain files do, through freezes, clones, crashes and power cuts") {
  const unsigned seed = Seed();
  const unsigned long steps = FromEnvironment("VELAFS_STEPS", 4000);
  MESSAGE("replay with VELAFS_SEED=", seed, " VELAFS_STEPS=", steps);
  Model model(seed);
  for (unsigned long step = 0; step < steps; ++step) {
    INFO("VELAFS_SEED=", seed, " step ", step);
    model.Step(true);
  }
  model.CheckAll();
  const Model::Counts& counts = model.counts();
  MESSAGE("merges: ", counts.merges, ", seals: ", counts.seals,
          ", refused by quota: ", counts.refused_by_quota, ", renames over: ", counts.renames_over,
          ", exchanges: ", counts.exchanges,
          ", ephemeral branches after a crash: ", counts.reset_ephemerals);
  if (steps < 4000) return;
  CHECK(counts.merges > 0);
  CHECK(counts.seals > 0);
  CHECK(counts.refused_by_quota > 0);
  CHECK(counts.renames_over > 0);
  CHECK(counts.exchanges > 0);
  CHECK(counts.reset_ephemerals > 0);
}

// The same operations again and again, with the power cut after one change of the disk, after two,
// and so on.
TEST_CASE("a power cut after any change of the disk loses nothing that was made durable") {
  constexpr int kSteps = 80;
  const unsigned seed = Seed();
  MESSAGE("replay with VELAFS_SEED=", seed);
  bool was_cut = true;
  unsigned long cuts = 0;
  for (; was_cut; ++cuts) {
    INFO("VELAFS_SEED=", seed, " cut after ", cuts, " changes");
    Model model(seed, 60'000);
    model.disk().CutAfter(cuts);
    for (int step = 0; step < kSteps && !model.disk().is_off(); ++step) model.Step(false);
    was_cut = model.disk().is_off();
    model.Recover();
    for (int step = 0; step < 5; ++step) model.Step(false);
    model.CheckAll();
  }
  MESSAGE("power cuts: ", cuts);
  CHECK(cuts > kSteps);
}

// How the disk would have to lie to be believed: these cases say that the two above can fail.
bool FindsOut(test::VolatileStorage::Lie lie) {
  for (unsigned seed = 1; seed < 40; ++seed) {
    Model model(seed, 60'000);
    model.disk().set_lie(lie);
    for (int step = 0; step < 30; ++step) model.Step(false);
    if (!model.TryRecover().ok()) return true;
  }
  return false;
}

TEST_CASE("a disk whose file syncs do nothing is found out") {
  CHECK(FindsOut(test::VolatileStorage::Lie::kFileSyncs));
}

TEST_CASE("a disk whose directory syncs do nothing is found out") {
  CHECK(FindsOut(test::VolatileStorage::Lie::kDirectorySyncs));
}

}  // namespace
}  // namespace velafs::layer
