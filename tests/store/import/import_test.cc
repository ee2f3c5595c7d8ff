#include <fcntl.h>

#include <atomic>

#include "tests/store/hooked_storage.h"
#include "tests/store/store_fixture.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/import/import_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

struct ImportFixture : StoreFixture {
  // Every branch file that is also in the source is as it is there.
  void CheckIsCopy(const std::string& branch) {
    const Tree source = TreeOfDirectory(data);
    const Tree copy = BranchTree(branch);
    for (const auto& entry : source) {
      const auto found = copy.find(entry.first);
      REQUIRE_MESSAGE(found != copy.end(), entry.first);
      CHECK_MESSAGE(found->second == entry.second, entry.first);
    }
    CHECK(copy.size() == source.size());
  }
};

TEST_CASE_FIXTURE(ImportFixture, "an import copies content, modes, owners, links and times") {
  WriteHostFile(data + "/base/5/empty", "");
  WriteHostFile(data + "/base/5/one", "1");
  WriteHostFile(data + "/base/5/exact", Noise(2 * kChunkBytes, 3));
  WriteHostFile(data + "/base/5/odd name\n\xff", "x");
  fs::create_directories(data + "/pg_wal/archive_status");
  fs::create_hard_link(data + "/base/5/one", data + "/global/other");
  fs::create_symlink("5/one", data + "/base/link");
  REQUIRE(chmod((data + "/base/5/one").c_str(), 0640) == 0);
  REQUIRE(chmod((data + "/pg_wal").c_str(), 02750) == 0);
  if (geteuid() == 0) REQUIRE(lchown((data + "/base/5/1259").c_str(), 1234, 5678) == 0);
  const timespec times[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 123'456'789},
                             {.tv_sec = 1'100'000'000, .tv_nsec = 987'654'321}};
  REQUIRE(utimensat(AT_FDCWD, (data + "/base/5/1259").c_str(), times, 0) == 0);

  const ImportResult result = Import("main");
  CHECK(result.warnings.empty());
  CHECK(result.files == 8);
  CHECK(result.branch.name == "main");
  CHECK(result.branch.owner == "tester");
  CHECK_FALSE(result.branch.parent);
  CheckIsCopy("main");
  Reopen();
  CheckIsCopy("main");
}

TEST_CASE_FIXTURE(ImportFixture, "a file longer than a part is copied in full") {
  WriteHostFile(data + "/base/5/big", Noise(catalog::kPartBytes + 3 * kChunkBytes + 17, 4));
  Import("main");
  CheckIsCopy("main");
}

TEST_CASE_FIXTURE(ImportFixture, "chunks of zeros and holes are stored as nothing") {
  const ImportResult before = Import("before");
  WriteHostFile(data + "/base/5/zeros", std::string(10 * kChunkBytes + 5, '\0'));
  WriteHostFile(data + "/base/5/sparse", "");
  fs::resize_file(data + "/base/5/sparse", 3 * catalog::kPartBytes + 100);
  const ImportResult result = Import("main");
  CHECK(result.chunks_new == 0);
  CHECK(result.bytes_stored == 0);
  CHECK(result.branch.logical_bytes ==
        before.branch.logical_bytes + 10 * kChunkBytes + 5 + 3 * catalog::kPartBytes + 100);
  CheckIsCopy("main");
}

TEST_CASE_FIXTURE(ImportFixture, "data after a hole is where it was") {
  WriteHostFile(data + "/base/5/sparse", "begin");
  fs::resize_file(data + "/base/5/sparse", 5 * 1024 * 1024);
  std::ofstream(data + "/base/5/sparse", std::ios::app) << "end";
  Import("main");
  CheckIsCopy("main");
}

TEST_CASE_FIXTURE(ImportFixture, "equal chunks of one import are stored once") {
  const std::string content = Noise(5 * kChunkBytes, 5);
  WriteHostFile(data + "/base/5/a", content);
  WriteHostFile(data + "/base/5/b", content);
  WriteHostFile(data + "/base/5/c", std::string(4 * kChunkBytes, 'c'));
  const ImportResult result = Import("main");
  // 1 + 1 + 1 + 4 for what the fixture made, 5 for a and b, 1 for c.
  CHECK(result.chunks_new == 13);
  CHECK(result.chunks_shared == 5 + 3);
  CheckIsCopy("main");
}

TEST_CASE_FIXTURE(ImportFixture, "importing the same again stores nothing new") {
  const ImportResult first = Import("main");
  CHECK(first.chunks_shared == 0);
  const auto before = store->usage().Stats();
  const ImportResult again = Import("again");
  CHECK(again.chunks_new == 0);
  CHECK(again.chunks_shared == first.chunks_new);
  CHECK(again.bytes_stored == 0);
  const auto after = store->usage().Stats();
  CHECK(after->stored_bytes == before->stored_bytes);
  CHECK(after->chunk_count == before->chunk_count);
  CheckIsCopy("again");
}

TEST_CASE_FIXTURE(ImportFixture, "a later copy of the source stores only what changed") {
  WriteHostFile(data + "/base/5/table", Noise(20 * kChunkBytes, 6));
  Import("monday");
  std::fstream file(data + "/base/5/table", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(7 * kChunkBytes + 100);
  file << "changed";
  file.close();
  const ImportResult tuesday = Import("tuesday");
  CHECK(tuesday.chunks_new == 1);
  CHECK(tuesday.bytes_stored == kChunkBytes);
  CheckIsCopy("tuesday");
}

TEST_CASE_FIXTURE(ImportFixture, "what a server makes anew is left out") {
  WriteHostFile(data + "/postmaster.opts", "x");
  WriteHostFile(data + "/postmaster.pid", "0\n");
  WriteHostFile(data + "/pg_replslot/slot/state", "x");
  WriteHostFile(data + "/pg_notify/0000", "x");
  WriteHostFile(data + "/base/pgsql_tmp/pgsql_tmp1.0", "x");
  WriteHostFile(data + "/base/5/pg_notify/kept", "x");
  fs::create_directories(data + "/pg_stat_tmp");
  Import("main");
  const Tree tree = BranchTree("main");
  CHECK_FALSE(tree.contains("postmaster.opts"));
  CHECK_FALSE(tree.contains("postmaster.pid"));
  CHECK(tree.contains("pg_replslot"));
  CHECK_FALSE(tree.contains("pg_replslot/slot"));
  CHECK(tree.contains("pg_notify"));
  CHECK_FALSE(tree.contains("pg_notify/0000"));
  CHECK(tree.contains("base/5/pg_notify/kept"));
  CHECK_FALSE(tree.contains("base/pgsql_tmp"));
  CHECK(tree.contains("pg_stat_tmp"));
}

TEST_CASE_FIXTURE(ImportFixture, "an import leaves its source untouched") {
  const timespec old[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 0},
                           {.tv_sec = 1'000'000'000, .tv_nsec = 0}};
  REQUIRE(utimensat(AT_FDCWD, (data + "/base/5/1259").c_str(), old, 0) == 0);
  const Tree before = TreeOfDirectory(data);
  REQUIRE(utimensat(AT_FDCWD, (data + "/base/5/1259").c_str(), old, 0) == 0);
  Import("main");
  struct stat info;
  REQUIRE(stat((data + "/base/5/1259").c_str(), &info) == 0);
  CHECK(info.st_atim.tv_sec == 1'000'000'000);
  CHECK(TreeOfDirectory(data) == before);
}

TEST_CASE_FIXTURE(ImportFixture, "progress is told at the end at the latest") {
  ImportProgress last;
  const auto result =
      store->imports().Import(caller, "main", data, [&](const ImportProgress& progress) {
        last = progress;
        return true;
      });
  REQUIRE(result.ok());
  CHECK(last.files_total == 4);
  CHECK(last.files_done == 4);
  CHECK(last.bytes_total == result->branch.logical_bytes);
  CHECK(last.bytes_done == last.bytes_total);
}

TEST_CASE_FIXTURE(ImportFixture, "a cancelled import leaves nothing, and its name is free again") {
  WriteHostFile(data + "/base/5/big", Noise(64 * kChunkBytes, 7));
  const auto result =
      store->imports().Import(caller, "main", data, [](const ImportProgress&) { return false; });
  REQUIRE_FALSE(result.ok());
  CheckMessage(result.status(), "cancelled");
  CheckIsEmpty();
  Import("main");
  CheckIsCopy("main");
}

TEST_CASE_FIXTURE(ImportFixture,
                  "a file that changes while it is imported fails the import by name") {
  const auto change = [&](const std::function<void()>& what) {
    bool done = false;
    const auto result = store->imports().Import(caller, "main", data, [&](const ImportProgress&) {
      if (!done) what();
      done = true;
      return true;
    });
    REQUIRE_FALSE(result.ok());
    CheckMessage(result.status(), data + "/base/5/1259");
    CheckIsEmpty();
  };
  SUBCASE("shorter") {
    change([&] { fs::resize_file(data + "/base/5/1259", 10); });
  }
  SUBCASE("longer") {
    change([&] { fs::resize_file(data + "/base/5/1259", 1'000'000); });
  }
  SUBCASE("gone") {
    change([&] { fs::remove(data + "/base/5/1259"); });
  }
  SUBCASE("written") {
    change([&] { WriteHostFile(data + "/base/5/1259", Noise(200'000, 9)); });
  }
}

TEST_CASE_FIXTURE(ImportFixture, "while a branch is being imported its name cannot be cloned to") {
  Import("main");
  Status cloned;
  const auto result = store->imports().Import(caller, "second", data, [&](const ImportProgress&) {
    cloned = store->branches().Clone(caller, "main", "second", {}).status();
    return true;
  });
  REQUIRE(result.ok());
  CHECK(cloned.code() == Code::kExists);
  CheckMessage(cloned, "cannot clone \"main\" to \"second\": branch \"second\" is being imported");
}

TEST_CASE_FIXTURE(ImportFixture, "other verbs work while an import is under way") {
  Import("main");
  int clones = 0;
  const auto result = store->imports().Import(caller, "second", data, [&](const ImportProgress&) {
    Clone("main", "clone-" + std::to_string(clones++));
    return true;
  });
  REQUIRE(result.ok());
  CHECK(clones > 0);
  CHECK(store->branches().List()->size() == static_cast<size_t>(2 + clones));
}

// Every change of the packs is a point at which the disk may be full.
TEST_CASE_FIXTURE(ImportFixture, "an import that runs out of space leaves nothing") {
  std::atomic<int> left = 0;
  HookedStorage storage([&](const std::string& path) {
    if (path.find("/packs") == std::string::npos) return Status();
    return left-- == 0 ? Errno(ENOSPC) : Status();
  });
  for (int allowed = 0;; ++allowed) {
    REQUIRE(allowed < 100);
    left = -1;
    Reopen(storage);
    left = allowed;
    const auto result = TryImport("main");
    if (result.ok()) break;
    CHECK(result.status().error_number() == ENOSPC);
    left = -1;
    CheckIsEmpty();
  }
  left = -1;
  CheckIsCopy("main");
}

TEST_CASE_FIXTURE(ImportFixture, "an import killed at any point leaves nothing once reopened") {
  for (int allowed = 0;; ++allowed) {
    REQUIRE(allowed < 100);
    store.reset();
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::atomic<int> left = -1;
      HookedStorage storage([&](const std::string& path) {
        if (path.find("/packs") != std::string::npos && left-- == 0) kill(getpid(), SIGKILL);
        return Status();
      });
      auto opened = Store::Open(root, storage);
      if (!opened.ok()) _exit(2);
      left = allowed;
      const auto result = (*opened)->imports().Import(caller, "main", data, nullptr);
      _exit(result.ok() ? 0 : 3);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    Reopen();
    if (WIFEXITED(status)) {
      REQUIRE(WEXITSTATUS(status) == 0);
      break;
    }
    CheckIsEmpty();
  }
  CheckIsCopy("main");
}

}  // namespace
}  // namespace velafs::store
