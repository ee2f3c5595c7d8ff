#include "velafs/layer/idle_references.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "tests/random.h"

namespace velafs::layer {
namespace {

using Reference = IdleReferences::Reference;

TEST_CASE("references to an inode are counted as if it were in memory") {
  IdleReferences references;
  references.Add({{.ino = InodeNumber(9), .lookups = 3, .is_file = true},
                  {.ino = InodeNumber(2), .lookups = 1, .parent = InodeNumber(1)},
                  {.ino = InodeNumber(kMaxInode), .lookups = IdleReferences::kMostLookups}});
  CHECK(references.Files() == std::vector{InodeNumber(9)});
  CHECK_FALSE(references.Forget(InodeNumber(9), 2));
  CHECK(references.Forget(InodeNumber(9), 1));
  CHECK(references.Files().empty());
  CHECK_FALSE(references.Extract(InodeNumber(9)));
  CHECK(references.Forget(InodeNumber(9), 1));  // none more than none
  CHECK(references.Forget(InodeNumber(5), 1));  // it never had any
  CHECK_FALSE(references.Extract(InodeNumber(5)));

  const auto directory = references.Extract(InodeNumber(2));
  REQUIRE(directory);
  CHECK(directory->lookups == 1);
  CHECK_FALSE(directory->is_file);
  CHECK(directory->parent == InodeNumber(1));
  const auto last = references.Extract(InodeNumber(kMaxInode));
  REQUIRE(last);
  CHECK(last->lookups == IdleReferences::kMostLookups);
  CHECK_FALSE(last->parent);
  CHECK(references.IsEmpty());
}

TEST_CASE("references take eight bytes an inode, and none once they are forgotten") {
  constexpr uint64_t kInodes = 10'000;
  IdleReferences references;
  for (uint64_t first = 1; first < kInodes; first += kInodes / 4) {
    std::vector<Reference> added;
    for (uint64_t ino = first; ino < first + kInodes / 4; ++ino) {
      added.push_back({.ino = InodeNumber(ino), .lookups = 1, .is_file = true});
    }
    references.Add(added);
  }
  CHECK(references.Files().size() == kInodes);
  CHECK(references.bytes() == kInodes * 8);
  for (uint64_t ino = 1; ino <= kInodes; ++ino) CHECK(references.Forget(InodeNumber(ino), 1));
  CHECK(references.IsEmpty());
  CHECK(references.bytes() == 0);
}

TEST_CASE("any order of additions and removals leaves what a plain map has") {
  const unsigned seed = test::Seed();
  INFO("VELAFS_SEED=" << seed);
  std::mt19937 random(seed);
  IdleReferences references;
  std::map<InodeNumber, Reference> expected;
  for (int step = 0; step < 2000; ++step) {
    std::vector<Reference> added;
    for (auto count = random() % 4; count > 0; --count) {
      const InodeNumber ino(1 + random() % 50);
      const bool is_file = ino.value % 3 != 0;
      const Reference one{.ino = ino,
                          .lookups = 1 + random() % 3,
                          .is_file = is_file,
                          .parent = is_file ? InodeNumber() : InodeNumber(1 + random() % 50)};
      if (expected.try_emplace(ino, one).second) added.push_back(one);
    }
    references.Add(added);
    const InodeNumber ino(1 + random() % 50);
    const auto found = expected.find(ino);
    if (random() % 2 == 0) {
      const auto taken = references.Extract(ino);
      REQUIRE(taken.has_value() == (found != expected.end()));
      if (!taken) continue;
      CHECK(taken->lookups == found->second.lookups);
      CHECK(taken->is_file == found->second.is_file);
      CHECK(taken->parent == found->second.parent);
      expected.erase(found);
    } else {
      const bool is_last = found == expected.end() || --found->second.lookups == 0;
      CHECK(references.Forget(ino, 1) == is_last);
      if (is_last && found != expected.end()) expected.erase(found);
    }
    std::vector<InodeNumber> files;
    for (const auto& [file, reference] : expected) {
      if (reference.is_file) files.push_back(file);
    }
    REQUIRE(references.Files() == files);
  }
}

}  // namespace
}  // namespace velafs::layer
