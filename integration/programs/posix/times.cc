// What changes which times, and which times can be set.
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

#include "integration/programs/posix/posix.h"

namespace posix {
namespace {

std::string SetTimes(const std::string& path, const timespec& atime, const timespec& mtime) {
  const timespec times[2] = {atime, mtime};
  return Outcome(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW));
}

constexpr timespec kOmit{.tv_sec = 0, .tv_nsec = UTIME_OMIT};
constexpr timespec kNow{.tv_sec = 0, .tv_nsec = UTIME_NOW};

TEST_SUITE("write-through") {
  TEST_CASE("times are set to the nanosecond, before 1970 and after 2038 too") {
    const timespec times[] = {{0, 0},
                              {1'500'000'000, 123'456'789},
                              {-1, 999'999'999},
                              {-1'000'000, 5},
                              {-0x80000000L, 0},
                              {0x7fffffffL, 999'999'999},
                              {0x80000000L, 1},
                              {0x100000000L, 2},
                              {9'000'000'000, 7}};
    for (Kind kind : Kinds()) {
      Make(kind, "node");
      for (const timespec& time : times) {
        CAPTURE(time.tv_sec);
        CAPTURE(static_cast<int>(kind));
        const timespec other = {.tv_sec = time.tv_sec + 1, .tv_nsec = 42};
        CHECK(SetTimes("node", time, other) == "done");
        const struct stat found = Stat("node");
        CHECK(found.st_atim.tv_sec == time.tv_sec);
        CHECK(found.st_atim.tv_nsec == time.tv_nsec);
        CHECK(found.st_mtim.tv_sec == other.tv_sec);
        CHECK(found.st_mtim.tv_nsec == other.tv_nsec);
      }
      CHECK(Outcome(std::remove("node")) == "done");
    }
  }
}

TEST_CASE("UTIME_OMIT leaves a time, and UTIME_NOW is this moment") {
  const timespec old = {.tv_sec = 1000, .tv_nsec = 10'000'000};
  for (Kind kind : Kinds()) {
    CAPTURE(static_cast<int>(kind));
    Make(kind, "node");
    const int64_t made = ToNs(Past(Stat("node")).st_ctim);
    CHECK(SetTimes("node", old, old) == "done");
    CHECK(ToNs(Stat("node").st_ctim) > made);
    CHECK(SetTimes("node", kNow, kOmit) == "done");
    CHECK(ToNs(Stat("node").st_atim) > made);
    CHECK(ToNs(Stat("node").st_mtim) == ToNs(old));
    CHECK(SetTimes("node", old, kNow) == "done");
    CHECK(ToNs(Stat("node").st_atim) == ToNs(old));
    CHECK(ToNs(Stat("node").st_mtim) > made);
    const struct stat before = Past(Stat("node"));
    CHECK(SetTimes("node", kOmit, kOmit) == "done");
    CHECK(ToNs(Stat("node").st_ctim) == ToNs(before.st_ctim));
    CHECK(SetTimes("node", {0, 1'000'000'000}, kOmit) == "EINVAL");
    CHECK(Outcome(std::remove("node")) == "done");
  }
  const UniqueFd file = Open("file", O_CREAT | O_RDWR);
  const timespec times[2] = {old, old};
  CHECK(Outcome(futimens(file.get(), times)) == "done");
  CHECK(ToNs(Stat("file").st_mtim) == ToNs(old));
}

TEST_CASE("a time of modification that was set stays until the content changes") {
  MakeFile("file", "content");
  const timespec old = {.tv_sec = 1000, .tv_nsec = 10'000'000};
  CHECK(SetTimes("file", old, old) == "done");
  CHECK(Outcome(chmod("file", 0600)) == "done");
  CHECK(Outcome(link("file", "second")) == "done");
  CHECK(Outcome(rename("second", "third")) == "done");
  CHECK(ContentOf("file") == "content");
  const UniqueFd file = Open("file", O_RDWR);
  CHECK(Outcome(fsync(file.get())) == "done");
  CHECK(ToNs(Stat("file").st_mtim) == ToNs(old));
  CHECK(write(file.get(), "C", 1) == 1);
  CHECK(ToNs(Stat("file").st_mtim) > ToNs(old));
}

TEST_CASE("a change of attributes advances the time of change alone") {
  for (Kind kind : Kinds()) {
    CAPTURE(static_cast<int>(kind));
    Make(kind, "node");
    if (kind != Kind::kSymlink) {
      CHECK(AdvancedBy("node", [] { return chmod("node", 0711); }) == kOnlyCtime);
    }
    CHECK(AdvancedBy("node", [] { return lchown("node", geteuid(), getegid()); }) == kOnlyCtime);
    CHECK(AdvancedBy("node", [] {
            return lchown("node", static_cast<uid_t>(-1), static_cast<gid_t>(-1));
          }) == kOnlyCtime);
    if (kind != Kind::kDirectory) {
      CHECK(AdvancedBy("node", [] { return link("node", "second"); }) == kOnlyCtime);
      CHECK(AdvancedBy("node", [] { return unlink("second"); }) == kOnlyCtime);
    }
    CHECK(AdvancedBy("node", [] { return SetTimes("node", kNow, kOmit) == "done" ? 0 : -1; }) ==
          kOnlyCtime);
    CHECK(Outcome(std::remove("node")) == "done");
  }
}

TEST_CASE("a change of content advances the times of modification and of change") {
  MakeFile("file", std::string(20'000, 'x'));
  const UniqueFd file = Open("file", O_RDWR);
  const auto advanced = [&](const std::function<long()>& change) {
    return AdvancedBy("file", change);
  };
  CHECK(advanced([&] { return pwrite(file.get(), "y", 1, 0); }) == kBoth);
  CHECK(advanced([&] { return pwrite(file.get(), "y", 1, 30'000); }) == kBoth);
  CHECK(advanced([] { return truncate("file", 100); }) == kBoth);
  CHECK(advanced([] { return truncate("file", 40'000); }) == kBoth);
  CHECK(advanced([&] { return ftruncate(file.get(), 50'000); }) == kBoth);
  CHECK(advanced([&] { return ftruncate(file.get(), 50'000); }) == kBoth);
  CHECK(advanced([&] { return fallocate(file.get(), 0, 0, 60'000); }) == kBoth);
  CHECK(advanced([&] { return fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, 1000); }) == kBoth);
  CHECK(advanced([&] {
          return fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192);
        }) == kBoth);
  CHECK(advanced([&] { return fallocate(file.get(), FALLOC_FL_ZERO_RANGE, 0, 8192); }) == kBoth);
  CHECK(advanced([] {
          const UniqueFd emptied = Open("file", O_WRONLY | O_TRUNC);
          return emptied.get();
        }) == kBoth);
  CHECK(advanced([] {
          const UniqueFd empty_already = Open("file", O_WRONLY | O_TRUNC);
          return empty_already.get();
        }) == kBoth);
  CHECK(advanced([&] { return write(file.get(), "", 0); }) == kNeither);
  CHECK(advanced([] { return OpenOutcome("file", O_RDWR) == "done" ? 0 : -1; }) == kNeither);
  CHECK(advanced([&] { return fsync(file.get()); }) == kNeither);
}

TEST_CASE("a change through a mapping shows in the times once it is synced") {
  MakeFile("file", std::string(8192, 'x'));
  const UniqueFd file = Open("file", O_RDWR);
  auto* map =
      static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  REQUIRE(map != MAP_FAILED);
  const auto change = [map] {
    map[100] = 'y';
    return msync(map, 8192, MS_SYNC);
  };
  CHECK(AdvancedBy("file", change) == kBoth);
  munmap(map, 8192);
}

TEST_CASE("a change of names advances the directory's times") {
  CHECK(Outcome(mkdir("d", 0755)) == "done");
  MakeFile("file");
  const auto advanced = [](const std::function<long()>& change) { return AdvancedBy("d", change); };
  for (Kind kind : Kinds()) {
    CAPTURE(static_cast<int>(kind));
    const auto make = [kind] {
      Make(kind, "d/node");
      return 0;
    };
    CHECK(AdvancedBy("d", make) == kBoth);
    CHECK(advanced([&] { return std::remove("d/node"); }) == kBoth);
  }
  CHECK(advanced([] { return link("file", "d/link"); }) == kBoth);
  CHECK(advanced([] { return rename("d/link", "d/renamed"); }) == kBoth);
  CHECK(advanced([] { return truncate("d/renamed", 100); }) == kNeither);
  CHECK(advanced([] { return chmod("d/renamed", 0600); }) == kNeither);
  const auto fail = [] {
    CHECK(Outcome(mkdir("d/renamed", 0755)) == "EEXIST");
    CHECK(Outcome(rmdir("d/renamed")) == "ENOTDIR");
    CHECK(Outcome(unlink("d/missing")) == "ENOENT");
    CHECK(Outcome(link("file", "d/renamed")) == "EEXIST");
    CHECK(Outcome(symlink("x", "d/renamed")) == "EEXIST");
    return 0;
  };
  CHECK(AdvancedBy("d", fail) == kNeither);
}

TEST_CASE("a new node's times are of when it was made") {
  for (Kind kind : Kinds()) {
    CAPTURE(static_cast<int>(kind));
    const struct stat before = Past(Stat("."));
    Make(kind, "node");
    const struct stat made = Stat("node");
    const struct stat directory = Stat(".");
    CHECK(ToNs(made.st_atim) > ToNs(before.st_ctim));
    CHECK(ToNs(made.st_mtim) > ToNs(before.st_ctim));
    CHECK(ToNs(made.st_ctim) > ToNs(before.st_ctim));
    CHECK(ToNs(directory.st_mtim) >= ToNs(made.st_mtim));
    CHECK(Outcome(std::remove("node")) == "done");
  }
}

TEST_CASE("times agree with the clock") {
  for (int i = 0; i < 20; ++i) {
    MakeFile("file");
    const struct stat before = Past(Stat("file"));
    const int64_t earliest = Clock();
    MakeFile("file", "x");
    CHECK(Outcome(chmod("file", i % 2 == 0 ? 0600 : 0644)) == "done");
    const struct stat after = Stat("file");
    CHECK(ToNs(after.st_mtim) >= earliest);
    CHECK(ToNs(after.st_ctim) >= ToNs(after.st_mtim));
    CHECK(ToNs(after.st_mtim) > ToNs(before.st_mtim));
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    CHECK(ToNs(after.st_ctim) <= ToNs(now));
  }
}

}  // namespace
}  // namespace posix
