// A store in a directory of its own, and a small PGDATA to import.
#pragma once

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/filesystem.hpp>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "tests/os/scratch_directory.h"
#include "tests/store/tree.h"
#include "velafs/catalog/catalog.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/store.h"

namespace velafs::test {

namespace fs = boost::filesystem;

inline void WriteHostFile(const std::string& path, const std::string& content) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

// Bytes without a zero chunk or two equal ones; the same for the same seed.
inline std::string Noise(size_t size, uint64_t seed) {
  std::string bytes(size, '\0');
  uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

inline void CheckMessage(const Status& status, const std::string& words) {
  CHECK_MESSAGE(status.message().find(words) != std::string::npos, status.message());
}

// A child that waits, in `directory`, to be ended by the destructor.
class WaitingProcess {
 public:
  // `ignored`: a signal that it takes no notice of.
  explicit WaitingProcess(const std::string& directory, uid_t uid = geteuid(), int ignored = 0) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      for (const int number : {SIGINT, SIGQUIT}) signal(number, SIG_DFL);  // not doctest's
      if (ignored != 0) signal(ignored, SIG_IGN);
      const bool moved = chdir(directory.c_str()) == 0 && setuid(uid) == 0;
      const ssize_t told = write(ready[1], moved ? "1" : "0", 1);
      while (told == 1) pause();
      _exit(1);
    }
    char answer = '0';
    REQUIRE(read(ready[0], &answer, 1) == 1);
    REQUIRE(answer == '1');
    close(ready[0]);
    close(ready[1]);
  }
  ~WaitingProcess() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

struct StoreFixture {
  StoreFixture() {
    const Status made = store::Store::Init(root);
    REQUIRE_MESSAGE(made.ok(), made.message());
    Reopen();
    WriteHostFile(data + "/PG_VERSION", "15\n");
    WriteHostFile(data + "/postgresql.conf", "# settings\n");
    WriteHostFile(data + "/global/pg_control", Noise(8192, 1));
    WriteHostFile(data + "/base/5/1259", Noise(200'000, 2));
  }

  void Reopen(os::Storage& storage = os::HostStorage()) {
    store.reset();
    auto opened = store::Store::Open(root, storage);
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    store = *std::move(opened);
  }

  Result<store::ImportResult> TryImport(const std::string& name) {
    return store->imports().Import(caller, name, data, nullptr, options);
  }
  store::ImportResult Import(const std::string& name) {
    auto result = TryImport(name);
    REQUIRE_MESSAGE(result.ok(), result.status().message());
    // Most tests delete, reset or promote onto what they import.
    REQUIRE(store->branches().Unprotect(caller, name).ok());
    return *std::move(result);
  }
  Status ImportFailure(const std::string& name = "main") {
    const auto result = TryImport(name);
    REQUIRE_FALSE(result.ok());
    return result.status();
  }
  void Clone(const std::string& source, const std::string& name) {
    const auto result = store->branches().Clone(caller, source, name, {});
    REQUIRE_MESSAGE(result.ok(), result.status().message());
  }

  Tree BranchTree(const std::string& name) { return TreeOfBranch(store->volume(), name); }
  std::string TargetInBranch(const std::string& name, const std::string& path) {
    const Tree tree = BranchTree(name);
    const auto found = tree.find(path);
    REQUIRE(found != tree.end());
    return found->second.substr(found->second.rfind(' ') + 1);
  }

  // No trace of any import.
  void CheckIsEmpty() {
    const auto stats = store->usage().Stats();
    REQUIRE(stats.ok());
    CHECK(stats->branches == 0);
    CHECK(stats->chunk_count == 0);
    CHECK(stats->stored_bytes == 0);
    CHECK(fs::is_empty(root + "/packs"));
    CHECK(fs::is_empty(root + "/layers"));
    Status read;
    {
      store.reset();
      auto catalog = catalog::Catalog::Open(root + "/catalog.db");
      REQUIRE(catalog.ok());
      read = (*catalog)->Read([](catalog::Reader& reader) -> Status {
        VELAFS_ASSIGN(const auto layers, reader.Layers());
        CHECK(layers.empty());
        VELAFS_ASSIGN(const auto packs, reader.Packs());
        CHECK(packs.empty());
        VELAFS_ASSIGN(const auto inode, reader.Inodes(InodeNumber(1)));
        CHECK(inode.empty());
        return {};
      });
    }
    CHECK_MESSAGE(read.ok(), read.message());
    Reopen();
  }

  ScratchDirectory scratch;
  const std::string root = scratch / "store";
  const std::string data = scratch / "pgdata";
  const store::Caller caller{getuid(), "tester"};
  store::ImportOptions options;
  std::unique_ptr<store::Store> store;
};

}  // namespace velafs::test
