// Stores whose chunks are compressed, or partly.
#include <sys/stat.h>

#include "tests/store/store_fixture.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/scrub/scrub.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

struct CompressionFixture : StoreFixture {
  CompressionFixture() {
    Fill("filler", 1);
    WriteHostFile(data + "/base/5/noise", Noise(300'000, 9));  // gets no smaller
  }
  // Pages that differ, and compress well.
  void Fill(const std::string& name, int seed) {
    std::string content(20 * kChunkBytes, '.');
    for (size_t at = 0; at < content.size(); at += 256) {
      content.replace(at, 12, std::to_string(1'000'000 * seed + static_cast<int>(at)));
    }
    WriteHostFile(data + "/base/5/" + name, content);
  }
  void SetCompression(const std::string& compression) {
    const auto set = store->governance().SetPolicies(catalog::SettingScope::kStore, {},
                                                     {{"compression", compression}});
    REQUIRE_MESSAGE(set.ok(), set.status().message());
  }
  uint64_t PackBytes() {
    uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(root + "/packs")) {
      bytes += fs::file_size(entry.path());
    }
    return bytes;
  }
  void CheckIsSound() {
    const auto report = store::ScrubOpenStore(store->context(), {}, nullptr);
    REQUIRE(report.ok());
    CHECK(report->corrupt.empty());
  }
};

TEST_CASE_FIXTURE(CompressionFixture, "a compressed store holds the same, in less space") {
  SetCompression("none");
  const ImportResult plain = Import("plain");
  const uint64_t plain_bytes = PackBytes();
  const Tree tree = BranchTree("plain");
  REQUIRE(store->trash().Delete(caller, "plain", {.purge = true}).ok());
  REQUIRE(store->upkeep().CollectGarbage(caller, false, nullptr).ok());

  SetCompression("zstd");
  const ImportResult compressed = Import("main");
  CHECK(compressed.chunks_new == plain.chunks_new);
  CHECK(compressed.bytes_stored < plain.bytes_stored / 2);
  CHECK(PackBytes() < plain_bytes / 2);
  CHECK(BranchTree("main") == tree);
  CHECK(TreeOfDirectory(data) == tree);
  CheckIsSound();
  Reopen();
  CHECK(BranchTree("main") == tree);
}

TEST_CASE_FIXTURE(CompressionFixture, "what is stored already is shared, compressed or not") {
  Import("plain");
  const uint64_t before = PackBytes();
  SetCompression("zstd:19");
  CHECK(Import("again").chunks_new == 0);
  CHECK(PackBytes() == before);
  Fill("more", 2);
  const ImportResult more = Import("more");
  CHECK(more.chunks_new == 20);
  CHECK(more.bytes_stored < 20 * kChunkBytes / 4);
  SetCompression("none");
  CHECK(Import("last").chunks_new == 0);
  CHECK(BranchTree("more") == TreeOfDirectory(data));
  CHECK(BranchTree("last") == BranchTree("more"));
  CheckIsSound();
}

TEST_CASE_FIXTURE(CompressionFixture, "chunks stay compressed when they are moved") {
  SetCompression("zstd");
  Import("old");
  fs::remove(data + "/base/5/noise");
  Import("new");
  const Tree tree = BranchTree("new");
  REQUIRE(store->trash().Delete(caller, "old", {.purge = true}).ok());
  const auto done = store->upkeep().CollectGarbage(caller, false, nullptr);
  REQUIRE(done.ok());
  CHECK(done->packs_rewritten == 1);
  CHECK(PackBytes() < 10 * kChunkBytes);
  CHECK(BranchTree("new") == tree);
  CheckIsSound();
}

TEST_CASE_FIXTURE(CompressionFixture, "damage to a compressed chunk is EIO, and found by a scrub") {
  SetCompression("zstd");
  Import("main");
  store.reset();
  // Some byte in the middle of the pack's only compressed run.
  const std::string pack = root + "/packs/1.pack";
  std::fstream file(pack, std::ios::in | std::ios::out | std::ios::binary);
  const auto size = static_cast<std::streamoff>(fs::file_size(pack));
  for (std::streamoff at = 64 + 64 + 20; at < size; at += 997) {
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(at);
    file.put(byte);
  }
  file.close();
  Reopen();
  const auto report = store::ScrubOpenStore(store->context(), {}, nullptr);
  REQUIRE(report.ok());
  CHECK_FALSE(report->corrupt.empty());
  const auto branch = store->volume().Open("main");
  REQUIRE(branch.ok());
  auto at = (*branch)->Get((*branch)->root());
  for (const char* part : {"base", "5", "filler"}) at = (*branch)->Lookup(at->ino, part);
  REQUIRE(at.ok());
  std::string bytes(20 * kChunkBytes, '?');
  const auto read = (*branch)->Read(at->ino, 0, std::as_writable_bytes(std::span(bytes)));
  CHECK(read.status().error_number() == EIO);
}

}  // namespace
}  // namespace velafs::store
