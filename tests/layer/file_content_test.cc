#include "velafs/layer/file_content.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "tests/layer/volume_fixture.h"
#include "tests/store/hooked_storage.h"

namespace velafs::layer {
namespace {

constexpr size_t kFilePages = 256;

// Content whose pages all differ.
std::string Numbered() {
  std::string content(kFilePages * kPageBytes, '.');
  for (size_t i = 0; i < kFilePages; ++i)
    content.replace(i * kPageBytes, 4, std::to_string(1000 + i));
  return content;
}

// A host that counts changes of page maps, and has no space for changes of page files, as often as
// told.
struct Host {
  size_t map_changes = 0;
  size_t failures = 0;
  test::HookedStorage storage{[this](const std::string& path) -> Status {
    if (path.ends_with(".map")) {
      ++map_changes;
    } else if (failures > 0 && path.find("/layers/") != std::string::npos) {
      --failures;
      return Errno(ENOSPC);
    }
    return {};
  }};
  VolumeFixture volume{storage};
};

void WriteAt(Branch& branch, std::string& content, size_t at, const std::string& data) {
  REQUIRE(branch.Write(InodeOf(branch, "file"), at, BytesOf(data)).ok());
  content.replace(at, data.size(), data);
}

TEST_CASE("what is committed to a file in order takes few changes of its page map") {
  Host host;
  std::string content = Numbered();
  host.volume.MakeSource("main", {{"file", content}});
  auto branch = host.volume.Open("main");
  const InodeNumber ino = InodeOf(*branch, "file");
  WriteAt(*branch, content, 0, "first");
  REQUIRE(branch->Sync(ino, os::SyncKind::kData).ok());
  host.map_changes = 0;
  for (size_t i = 1; i < kFilePages; ++i) {
    WriteAt(*branch, content, i * kPageBytes + 10, "record");
    REQUIRE(branch->Sync(ino, os::SyncKind::kData).ok());
  }
  CHECK(host.map_changes > 0);
  CHECK(host.map_changes < kFilePages / 8);
  CHECK(ContentOf(*branch, "file") == content);
  branch.reset();
  host.volume.Crash();
  CHECK(ContentOf(*host.volume.Open("main"), "file") == content);
}

TEST_CASE("pages that are written here and there take no others along") {
  VolumeFixture volume;
  std::string content = Numbered();
  volume.MakeSource("main", {{"file", content}});
  const auto branch = volume.Open("main");
  const InodeNumber ino = InodeOf(*branch, "file");
  uint64_t pages = 0;
  for (size_t i = 0; i < kFilePages; i += i % 8 == 3 ? 5 : 1, ++pages) {  // four in a row
    WriteAt(*branch, content, i * kPageBytes, "record");
  }
  REQUIRE(branch->Sync(ino, os::SyncKind::kData).ok());
  CHECK(ContentOf(*branch, "file") == content);
  const std::string page_file =
      volume.LayerDirectory(volume.HeadOf("main")) + "/" + std::to_string(ino.value);
  struct stat info {};
  REQUIRE(stat(page_file.c_str(), &info) == 0);
  CHECK(static_cast<uint64_t>(info.st_blocks) * 512 <= (pages + 1) * kPageBytes);
}

TEST_CASE("where there is no space for what comes along, the write itself is done") {
  Host host;
  std::string content = Numbered();
  host.volume.MakeSource("main", {{"file", content}});
  auto branch = host.volume.Open("main");
  // The fifth takes four along.
  for (size_t i = 0; i < 9; ++i) WriteAt(*branch, content, i * kPageBytes, "record");
  host.failures = 1;
  WriteAt(*branch, content, 9 * kPageBytes, "record");
  CHECK(host.failures == 0);
  host.failures = 2;
  const InodeNumber ino = InodeOf(*branch, "file");
  CHECK(branch->Write(ino, 20 * kPageBytes, BytesOf("no")).error_number() == ENOSPC);
  host.failures = 0;
  CHECK(ContentOf(*branch, "file") == content);
}

TEST_CASE("pages that came along are the branch's own, and those above them are not") {
  VolumeFixture volume;
  std::string content = Numbered();
  volume.MakeSource("main", {{"file", content}});
  const auto branch = volume.Open("main");
  for (size_t i = 0; i < 8; ++i) WriteAt(*branch, content, i * kPageBytes, "main");
  REQUIRE(volume.Clone("main", "clone").ok());
  std::string cloned = content;
  const auto clone = volume.Open("clone");
  for (size_t i = 0; i < 40; ++i) WriteAt(*clone, cloned, i * kPageBytes + 100, "clone");
  for (size_t i = 8; i < 16; ++i) WriteAt(*branch, content, i * kPageBytes, "main");
  CHECK(ContentOf(*branch, "file") == content);
  CHECK(ContentOf(*clone, "file") == cloned);
}

}  // namespace
}  // namespace velafs::layer
