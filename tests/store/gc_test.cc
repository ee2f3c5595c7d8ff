#include <sys/stat.h>

#include "tests/store/store_fixture.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

struct GcFixture : StoreFixture {
  // Chunks of its own: `count` of them, other ones for another seed.
  void FillSource(uint64_t seed, uint64_t count) {
    WriteHostFile(data + "/base/5/filler", Noise(count * kChunkBytes, seed));
  }
  GcResult Collect(bool dry_run = false) {
    auto result = store->upkeep().CollectGarbage(caller, dry_run, nullptr);
    REQUIRE_MESSAGE(result.ok(), result.status().message());
    return *std::move(result);
  }
  void Delete(const std::string& name) {
    const auto deleted = store->trash().Delete(caller, name, {.purge = true});
    REQUIRE_MESSAGE(deleted.ok(), deleted.status().message());
  }
  uint64_t PackBytes() {
    uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(root + "/packs")) {
      bytes += fs::file_size(entry.path());
    }
    return bytes;
  }
  size_t Packs() {
    const fs::directory_iterator packs(root + "/packs");
    return static_cast<size_t>(std::distance(packs, fs::directory_iterator()));
  }
  uint64_t ChunkCount() { return store->usage().Stats()->chunk_count; }
};

TEST_CASE_FIXTURE(GcFixture, "what a deleted source alone used is given back") {
  FillSource(1, 20);
  Import("main");
  Delete("main");
  const uint64_t before = PackBytes();
  REQUIRE(before > 20 * kChunkBytes);

  const GcResult would = Collect(true);
  CHECK(would.bytes_freed == before);
  CHECK(PackBytes() == before);

  const GcResult done = Collect();
  CHECK(done.bytes_freed == before);
  CHECK(done.packs_removed == 1);
  CHECK(done.packs_rewritten == 0);
  CheckIsEmpty();
}

TEST_CASE_FIXTURE(GcFixture, "nothing is taken that a branch or a bookmark uses") {
  FillSource(1, 20);
  Import("main");
  Clone("main", "dev");
  REQUIRE(store->bookmarks().Create(caller, "dev@kept", "").ok());
  const Tree tree = BranchTree("dev");
  Delete("main");
  const uint64_t before = PackBytes();
  const GcResult done = Collect();
  CHECK(done.bytes_freed == 0);
  CHECK(PackBytes() == before);
  CHECK(BranchTree("dev") == tree);
}

TEST_CASE_FIXTURE(GcFixture, "nothing is taken that a deleted branch would come back with") {
  FillSource(1, 20);
  Import("main");
  const Tree tree = BranchTree("main");
  REQUIRE(store->trash().Delete(caller, "main", {}).ok());
  CHECK(Collect().bytes_freed == 0);
  REQUIRE(store->trash().Undelete(caller, "main", {}).ok());
  CHECK(BranchTree("main") == tree);
}

TEST_CASE_FIXTURE(GcFixture, "chunks in use move out of a pack that is mostly garbage") {
  FillSource(1, 20);
  Import("old");
  // Shares some of the chunks, and has its own in another pack.
  fs::remove(data + "/base/5/filler");
  WriteHostFile(data + "/base/5/other", Noise(10 * kChunkBytes, 2));
  Import("main");
  const Tree tree = BranchTree("main");  // knows where its chunks are
  Delete("old");

  const GcResult done = Collect();
  CHECK(done.packs_rewritten == 1);
  CHECK(done.packs_removed == 0);
  CHECK(done.chunks_removed == 20);
  CHECK(done.bytes_freed > 20 * kChunkBytes);
  CHECK(done.damaged.empty());
  CHECK(PackBytes() < 15 * kChunkBytes);
  CHECK(BranchTree("main") == tree);
  Reopen();
  CHECK(BranchTree("main") == tree);
  CHECK(Collect().bytes_freed == 0);
}

TEST_CASE_FIXTURE(GcFixture, "a little garbage stays, for a later import to share") {
  FillSource(1, 2);
  WriteHostFile(data + "/base/5/kept", Noise(20 * kChunkBytes, 2));
  Import("old");
  fs::remove(data + "/base/5/filler");
  Import("main");
  Delete("old");
  CHECK(Collect().bytes_freed == 0);
  FillSource(1, 2);
  CHECK(Import("again").chunks_new == 0);
  const Tree tree = BranchTree("again");
  CHECK(Collect().bytes_freed == 0);
  CHECK(BranchTree("again") == tree);
}

TEST_CASE_FIXTURE(GcFixture, "an import after a collection stores what was taken anew") {
  FillSource(1, 20);
  Import("main");
  const Tree tree = BranchTree("main");
  Delete("main");
  Collect();
  CHECK(Import("main").chunks_new > 20);
  CHECK(BranchTree("main").size() == tree.size());
}

TEST_CASE_FIXTURE(GcFixture, "a damaged pack is left as it is, and told of") {
  FillSource(1, 20);
  Import("old");
  fs::remove(data + "/base/5/filler");
  Import("main");
  Delete("old");
  const std::string pack = fs::directory_iterator(root + "/packs")->path().string();
  const uint64_t size = fs::file_size(pack);
  fs::resize_file(pack, size - 100);
  Reopen();
  const GcResult done = Collect();
  REQUIRE(done.damaged.size() == 1);
  CHECK(done.damaged[0].find("is damaged at byte") != std::string::npos);
  CHECK(fs::file_size(pack) == size - 100);
}

TEST_CASE_FIXTURE(GcFixture, "many small packs become one, but for one that is damaged") {
  for (uint64_t i = 0; i < 9; ++i) {
    FillSource(100 + i, 3);
    Import("main" + std::to_string(i));
  }
  std::map<std::string, Tree> trees;
  const auto names = store->branches().Names();
  for (const std::string& name : *names) trees[name] = BranchTree(name);
  CHECK(Packs() == 9);
  const GcResult done = Collect();
  CHECK(done.packs_rewritten == 9);
  CHECK(done.chunks_removed == 0);
  CHECK(Packs() == 1);
  CHECK(Collect().packs_rewritten == 0);
  for (const auto& [name, tree] : trees) CHECK(BranchTree(name) == tree);
  Reopen();
  for (const auto& [name, tree] : trees) CHECK(BranchTree(name) == tree);

  for (uint64_t i = 0; i < 7; ++i) {
    FillSource(200 + i, 3);
    Import("more" + std::to_string(i));
  }
  std::string damaged;
  for (const auto& entry : fs::directory_iterator(root + "/packs")) {
    damaged = std::max(damaged, entry.path().string());
  }
  std::fstream file(damaged, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(1000);
  file.put('!');
  file.close();
  const GcResult partly = Collect();
  CHECK(partly.damaged.size() == 1);
  CHECK(partly.packs_rewritten == 7);
  for (const auto& [name, tree] : trees) CHECK(BranchTree(name) == tree);
}

TEST_CASE_FIXTURE(GcFixture, "an interrupted collection keeps what it has freed") {
  FillSource(1, 20);
  Import("main");
  Delete("main");
  const auto stopped =
      store->upkeep().CollectGarbage(caller, false, [](const GcProgress&) { return false; });
  REQUIRE_FALSE(stopped.ok());
  CheckMessage(stopped.status(), "interrupted");
  CHECK(Collect().packs_removed == 1);
}

TEST_CASE_FIXTURE(GcFixture, "a collection is for root and the owner of the store") {
  const Caller stranger{caller.uid + 1, "stranger"};
  const auto refused = store->upkeep().CollectGarbage(stranger, false, nullptr);
  CHECK(refused.status().code() == Code::kRefused);
}

}  // namespace
}  // namespace velafs::store
