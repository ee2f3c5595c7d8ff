#include "velafs/layer/layer.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <limits>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/layer/layer_fixture.h"

namespace velafs::layer {
namespace {

constexpr TimeNs kEverything = std::numeric_limits<TimeNs>::max();

// In a child process, as a user of whom there may be no more threads. Its exit status.
int RunWithoutThreads(const std::function<bool()>& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr uid_t kNobodyElse = 61999;
    const rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) _exit(2);
    if (geteuid() == 0 && setuid(kNobodyElse) != 0) _exit(2);
    try {
      std::thread([] {}).join();
      _exit(3);  // then this tests nothing
    } catch (const std::system_error&) {
    }
    try {
      _exit(body() ? 0 : 1);
    } catch (...) {
      _exit(4);
    }
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

// Enough files for several threads.
struct ManyFiles : LayerFixture {
  ManyFiles() {
    for (uint64_t i = 1; i <= 100; ++i) {
      files.push_back(Create(InodeNumber(i), 0, std::nullopt));
      REQUIRE(WriteAt(*files.back(), 0, "content").ok());
    }
  }
  size_t Unsynced() const {
    size_t unsynced = 0;
    for (const auto& file : files) unsynced += file->NeedsSync() ? 1 : 0;
    return unsynced;
  }

  std::vector<std::shared_ptr<PageFile>> files;
};

TEST_CASE_FIXTURE(ManyFiles, "all files are synced though the system gives no threads for it") {
  REQUIRE(Unsynced() == files.size());
  CHECK(RunWithoutThreads([&] { return layer->SyncDirty(kEverything).ok() && Unsynced() == 0; }) ==
        0);
}

TEST_CASE_FIXTURE(ManyFiles, "a failed sync of one file is told, and leaves no other unsynced") {
  disk.FailAfter(files.size() / 2, EIO);
  CHECK(layer->SyncDirty(kEverything).error_number() == EIO);
  CHECK(Unsynced() == 1);
}

}  // namespace
}  // namespace velafs::layer
