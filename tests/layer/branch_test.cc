#include "velafs/layer/branch.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/layer/volume_fixture.h"

namespace velafs::layer {
namespace {

constexpr TimeNs kSet = 1'500'000'000'123'456'789;

TEST_CASE("a file that is synced after the kernel has forgotten it keeps its name") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", "content"}});
  const auto branch = fixture.Open("main");
  const InodeNumber ino = MakeFile(*branch, "new");
  branch->Retain(ino);
  branch->Forget(ino, 1);
  REQUIRE(fixture.catalog().LastDurable() < fixture.catalog().LastCommit());
  REQUIRE(branch->Sync(ino, os::SyncKind::kData).ok());
  CHECK(fixture.catalog().LastDurable() == fixture.catalog().LastCommit());
}

TEST_CASE("the access time is what was set last, whatever is written or read") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", std::string(100'000, 'x')}});
  const auto branch = fixture.Open("main");
  for (InodeNumber ino : {InodeOf(*branch, "file"), MakeFile(*branch, "new")}) {
    REQUIRE(branch->Set(ino, {.atime = kSet}).ok());
    REQUIRE(branch->Write(ino, 0, BytesOf("first")).ok());
    CHECK(branch->Get(ino)->atime == kSet);
    REQUIRE(branch->Set(ino, {.atime = kSet + 1, .mtime = kSet + 2}).ok());
    std::vector<std::byte> buffer(5);
    REQUIRE(branch->Read(ino, 0, buffer).ok());
    REQUIRE(fixture.Clone("main", "clone" + std::to_string(ino.value)).ok());
    REQUIRE(branch->Write(ino, 0, BytesOf("second")).ok());
    CHECK(branch->Get(ino)->atime == kSet + 1);
    CHECK(branch->Get(ino)->mtime > kSet + 2);
  }
}

}  // namespace
}  // namespace velafs::layer
