#include "velafs/layer/branch.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>

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

TEST_CASE("inodes that nobody asks for leave memory, and the kernel's numbers of them stay good") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {});
  const auto branch = fixture.Open("main");
  const auto directory = branch->Make(branch->root(), "dir", {.mode = S_IFDIR | 0700});
  REQUIRE(directory.ok());
  const auto file = branch->Make(directory->ino, "file", {.mode = S_IFREG | 0600});
  REQUIRE(file.ok());
  branch->Retain(directory->ino);
  branch->Retain(file->ino, 2);
  REQUIRE(branch->Write(file->ino, 0, BytesOf("content more")).ok());
  const auto drop_all = [&branch] {
    branch->BeginRound();
    CHECK(branch->DropIdle(2) == 0);  // it is too early
    branch->DropIdle(1);
    CHECK(branch->KnownInodes() == 0);
  };

  drop_all();
  CHECK(*branch->Parent(directory->ino) == branch->root());
  std::string content(12, '?');
  CHECK(*branch->Read(file->ino, 0, std::as_writable_bytes(std::span(content))) == 12);
  CHECK(content == "content more");

  // A file without a name lives on while the kernel has it open.
  drop_all();
  REQUIRE(branch->Unlink(directory->ino, "file").ok());
  branch->BeginRound();
  branch->DropIdle(1);
  CHECK(branch->KnownInodes() == 1);
  branch->Forget(file->ino, 1);
  CHECK(branch->Get(file->ino)->nlink == 0);
  branch->Forget(file->ino, 1);
  CHECK(branch->Get(file->ino).status().error_number() == ESTALE);

  // What the kernel forgets meanwhile is forgotten.
  branch->Forget(directory->ino, 1);
  CHECK(*branch->Parent(branch->Lookup(branch->root(), "dir")->ino) == branch->root());
}

TEST_CASE("a directory that leaves memory before the kernel refers to it is found where it was") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {});
  const auto branch = fixture.Open("main");
  const auto above = branch->Make(branch->root(), "above", {.mode = S_IFDIR | 0700});
  REQUIRE(above.ok());
  const auto directory = branch->Make(above->ino, "dir", {.mode = S_IFDIR | 0700});
  REQUIRE(directory.ok());
  branch->BeginRound();
  branch->DropIdle(1);
  REQUIRE(branch->KnownInodes() == 0);
  branch->Retain(directory->ino);
  CHECK(*branch->Parent(directory->ino) == above->ino);
  CHECK(*branch->Parent(above->ino) == branch->root());
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

// chown(2) to -1 and -1, as ext4 has it.
TEST_CASE("a change of no attribute advances the time of change, and nothing else") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"inherited", "content"}});
  const auto branch = fixture.Open("main");
  for (InodeNumber ino :
       {InodeOf(*branch, "inherited"), MakeFile(*branch, "new"), branch->root()}) {
    const auto before = branch->Get(ino);
    const auto after = branch->Set(ino, {});
    REQUIRE(after.ok());
    CHECK(after->ctime > before->ctime);
    CHECK(after->mtime == before->mtime);
    CHECK(after->mode == before->mode);
  }
}

// On /dev/shm, whose files may be larger: elsewhere it may be the host's filesystem that refuses.
TEST_CASE("no file grows beyond the largest there may be") {
  std::string directory = "/dev/shm/velafs-test-XXXXXX";
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  {
    VolumeFixture fixture(os::HostStorage(), directory);
    fixture.MakeSource("main", {{"file", "content"}});
    const auto branch = fixture.Open("main");
    for (InodeNumber ino : {InodeOf(*branch, "file"), MakeFile(*branch, "new")}) {
      REQUIRE(branch->Write(ino, kMaxFileBytes - 5, BytesOf("there")).ok());
      CHECK(branch->Get(ino)->size_bytes == kMaxFileBytes);
      CHECK(branch->Write(ino, kMaxFileBytes - 4, BytesOf("there")).error_number() == EFBIG);
      CHECK(branch->Set(ino, {.size_bytes = kMaxFileBytes + 1}).status().error_number() == EFBIG);
      // The last one's end does not fit into 64 bits.
      for (const ByteRange range : {ByteRange{kMaxFileBytes, 1}, ByteRange{UINT64_MAX, 2}}) {
        CHECK(branch->Allocate(ino, range, false).error_number() == EFBIG);
        CHECK(branch->Zero(ino, range, false).error_number() == EFBIG);
      }
      CHECK(branch->Get(ino)->size_bytes == kMaxFileBytes);
    }
  }
  REQUIRE(os::HostStorage().RemoveTree(directory).ok());
}

TEST_CASE("a directory knows the one it is in, wherever it moves") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", "content"}});
  auto branch = fixture.Open("main");
  const InodeNumber root = branch->root();
  const auto make = [&](InodeNumber in, const char* name) {
    return branch->Make(in, name, {.mode = S_IFDIR | 0700})->ino;
  };
  const InodeNumber a = make(root, "a");
  const InodeNumber b = make(root, "b");
  const InodeNumber below = make(a, "below");
  CHECK_FALSE(*branch->Parent(root));
  CHECK(*branch->Parent(below) == a);
  REQUIRE(branch->Rename(a, "below", b, "moved", RenameMode::kReplace).ok());
  CHECK(*branch->Parent(below) == b);
  const InodeNumber other = make(a, "other");
  REQUIRE(branch->Rename(b, "moved", a, "other", RenameMode::kExchange).ok());
  CHECK(*branch->Parent(below) == a);
  CHECK(*branch->Parent(other) == b);
  branch.reset();
  fixture.Reopen();
  branch = fixture.Open("main");
  REQUIRE(branch->Lookup(a, "other").ok());
  CHECK(*branch->Parent(below) == a);
}

TEST_CASE("a page file that is discarded while it waits for its sync leaves nothing behind") {
  VolumeFixture fixture;
  fixture.MakeSource("main", {{"file", std::string(3 * kPageBytes, 'x')}});
  const auto branch = fixture.Open("main");
  const InodeNumber ino = InodeOf(*branch, "file");
  REQUIRE(branch->Write(ino, 0, BytesOf("mine")).ok());
  const auto head = branch->Layers().front();
  const auto file = head->Find(ino, true);
  REQUIRE(*file != nullptr);
  REQUIRE(head->Discard(ino).ok());
  CHECK((*file)->Sync(os::SyncKind::kFull).ok());
  CHECK(os::HostStorage().List(fixture.LayerDirectory(head->id()))->empty());
}

}  // namespace
}  // namespace velafs::layer
