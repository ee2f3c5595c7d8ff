// A file with pages in many layers is read as one with pages in few.
#include <doctest/doctest.h>

#include "tests/layer/volume_fixture.h"
#include "tests/random.h"

namespace velafs::layer {
namespace {

TEST_CASE_FIXTURE(VolumeFixture, "every state of a deep chain is what it was when it was frozen") {
  constexpr size_t kDepth = 40;
  const unsigned seed = test::Seed();
  MESSAGE("replay with VELAFS_SEED=", seed);
  std::mt19937 random(seed);
  const auto below = [&random](size_t limit) { return random() % limit; };
  std::string content(700 * kPageBytes + 5, 'a');  // more than one block of the index
  MakeSource("main", {{"file", content}});
  std::vector<std::string> states;
  for (size_t i = 0; i < kDepth; ++i) {
    const auto main = Open("main");
    const InodeNumber ino = InodeOf(*main, "file");
    for (size_t changes = 1 + below(4); changes > 0; --changes) {
      const size_t at = below(content.size());
      if (below(8) == 0) {
        // Cut somewhere, often in the middle of a page, and made longer again.
        const size_t size = below(3) == 0 ? content.size() + 30'000 : content.size();
        REQUIRE(main->Set(ino, {.size_bytes = at}).ok());
        REQUIRE(main->Set(ino, {.size_bytes = size}).ok());
        content.resize(at);
        content.resize(size);
      } else {
        const std::string data(1 + below(5 * kPageBytes), static_cast<char>('b' + below(20)));
        REQUIRE(main->Write(ino, at, BytesOf(data)).ok());
        if (content.size() < at + data.size()) content.resize(at + data.size());
        content.replace(at, data.size(), data);
      }
      CHECK(ContentOf(*main, "file") == content);
    }
    REQUIRE(Clone("main", "clone" + std::to_string(i)).ok());
    states.push_back(content);
  }
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < kDepth; ++i) {
      const auto clone = Open("clone" + std::to_string(i));
      CHECK(ContentOf(*clone, "file") == states[i]);
      // Pieces, too, that begin and end anywhere.
      for (int reads = 0; reads < 20; ++reads) {
        const size_t at = below(states[i].size());
        std::string piece(1 + below(100'000), '?');
        const auto got =
            clone->Read(InodeOf(*clone, "file"), at, std::as_writable_bytes(std::span(piece)));
        REQUIRE(got.ok());
        CHECK(piece.substr(0, *got) == states[i].substr(at, piece.size()));
      }
    }
    REQUIRE(Seal().ok());
    Reopen();
  }
}

}  // namespace
}  // namespace velafs::layer
