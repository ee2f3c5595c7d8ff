#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/layer/volume_fixture.h"

namespace velafs::layer {
namespace {

size_t LoadedBytes(Volume& volume) {
  size_t bytes = 0;
  for (const auto& branch : volume.OpenBranches()) bytes += branch->loaded_bytes();
  return bytes;
}

// As a `du` does: the kernel refers to each of its files from then on.
void Walk(Branch& branch) {
  std::vector<InodeNumber> seen;
  const auto see = [&seen](DirectoryCookie, const std::string&, const Attributes& attributes) {
    seen.push_back(attributes.ino);
    return true;
  };
  REQUIRE(branch.List(branch.root(), 0, see).ok());
  for (const InodeNumber ino : seen) branch.Retain(ino);
}

TEST_CASE("memory stays bounded while all branches are walked, and no reference is lost") {
  constexpr size_t kFiles = 1000;
  constexpr size_t kBranches = 120;
  VolumeFixture fixture;
  std::map<std::string, std::string> files;
  for (size_t i = 0; i < kFiles; ++i) files["file" + std::to_string(i)] = "content";
  fixture.MakeSource("main", files);
  std::vector<std::shared_ptr<Branch>> branches;
  for (size_t i = 0; i < kBranches; ++i) {
    const std::string name = "clone" + std::to_string(i);
    REQUIRE(fixture.Clone("main", name).ok());
    branches.push_back(fixture.Open(name));
    Walk(*branches.back());
    if (i == 0) REQUIRE(branches[0]->loaded_bytes() * kBranches > 2 * Volume::kMostLoadedBytes);
    // The walk goes on as soon as there is room again: a thread of the volume makes it.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (LoadedBytes(fixture.volume()) > Volume::kMostLoadedBytes) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      std::this_thread::yield();
    }
  }

  size_t reference_bytes = 0;
  for (const auto& branch : branches) {
    CHECK(branch->ReferredFiles().size() == kFiles);
    reference_bytes += branch->ReferenceBytes();
  }
  CHECK(reference_bytes > 0);
  CHECK(reference_bytes <= kBranches * (kFiles + 1) * 8);
  // What has left memory is as it was.
  const auto& first = branches.front();
  CHECK(ContentOf(*first, "file7") == "content");
  for (const InodeNumber ino : first->ReferredFiles()) CHECK(first->Forget(ino, 1));
  CHECK(first->ReferredFiles().empty());
}

TEST_CASE("the names of a directory in use stay in memory, whatever is walked") {
  constexpr size_t kFiles = 1000;
  VolumeFixture fixture;
  std::map<std::string, std::string> files;
  for (size_t i = 0; i < kFiles; ++i) files["file" + std::to_string(i)] = "content";
  fixture.MakeSource("main", files);
  const auto used = fixture.Open("main");
  auto last_use = std::chrono::steady_clock::now();
  REQUIRE(used->Lookup(used->root(), "file7").ok());
  for (size_t i = 0; i < 120; ++i) {
    const std::string name = "clone" + std::to_string(i);
    REQUIRE(fixture.Clone("main", name).ok());
    Walk(*fixture.Open(name));
    const size_t loaded_bytes = used->loaded_bytes();
    const auto now = std::chrono::steady_clock::now();
    // Unless the machine has stood still.
    if (now - last_use < std::chrono::seconds(2)) CHECK(loaded_bytes > kFiles * 50);
    last_use = now;
    REQUIRE(used->Lookup(used->root(), "file7").ok());
  }
}

}  // namespace
}  // namespace velafs::layer
