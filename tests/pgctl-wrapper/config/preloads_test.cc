#include "pgctl-wrapper/config/preloads.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

constexpr const char* kShared = "shared_preload_libraries";

struct PreloadsFixture {
  PreloadsFixture()
      : dir(std::filesystem::temp_directory_path() / ("preloads-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(dir / "lib/plugins");
    std::filesystem::create_directories(dir / "data");
    places = {dir / "lib", dir / "data"};
    rules = {{"jobs", {LibraryAction::kLeaveOut, "", "", "would run jobs"}},
             {"quiet", {LibraryAction::kSetting, "quiet.workers", "0", "would work"}},
             {"fine", {LibraryAction::kAllow, "", "", ""}}};
  }
  ~PreloadsFixture() { std::filesystem::remove_all(dir); }

  void Make(const std::string& path, const std::string& code = "code") {
    REQUIRE(WriteTextFile(dir / path, code).ok());
  }
  PreloadLibrary Only(const std::string& value, bool as_is = false, const char* setting = kShared) {
    const auto libraries = JudgeLibraries(places, rules, setting, value, as_is);
    REQUIRE(libraries.size() == 1);
    return libraries[0];
  }

  std::filesystem::path dir;
  LibraryPlaces places;
  LibraryRules rules;
};

}  // namespace

TEST_CASE_FIXTURE(PreloadsFixture,
                  "a library to leave out is, by any spelling and through a link") {
  Make("lib/jobs.so");
  Make("lib/plugins/jobs.so");
  std::filesystem::create_symlink("jobs.so", dir / "lib/other.so");
  for (const std::string spelling : {"jobs", "jobs.so", "$libdir/jobs", "\"$libdir/jobs\"",
                                     "$libdir/plugins/../jobs", "jobs/", "../lib/jobs", "other"}) {
    CHECK_MESSAGE(Only(spelling).fate == Fate::kLeftOut, spelling);
  }
  CHECK(Only(dir / "lib/jobs.so").fate == Fate::kLeftOut);
  CHECK(Only("jobs", false, "local_preload_libraries").fate == Fate::kLeftOut);
  CHECK(Only("jobs", /*as_is=*/true).fate == Fate::kLoaded);
}

TEST_CASE_FIXTURE(PreloadsFixture,
                  "a library that the server would not find is missing, as it is or not") {
  Make("lib/fine.so");
  CHECK(Only("fine").fate == Fate::kLoaded);
  CHECK(Only("gone").fate == Fate::kMissing);
  CHECK(Only("gone", /*as_is=*/true).fate == Fate::kMissing);
  CHECK(Only("jobs").fate == Fate::kMissing);
  CHECK(Only("fine", false, "local_preload_libraries").fate == Fate::kMissing);
  Make("lib/plugins/fine.so");
  CHECK(Only("fine", false, "local_preload_libraries").fate == Fate::kLoaded);
}

TEST_CASE_FIXTURE(PreloadsFixture,
                  "a setting quiets a library only where its code knows the setting") {
  Make("lib/quiet.so", std::string("\0quiet.workers\0", 15));
  CHECK(Only("quiet").fate == Fate::kQuieted);
  Make("lib/quiet.so", std::string("\0quiet.workers_max\0", 19));
  CHECK(Only("quiet").fate == Fate::kLeftOut);
}

TEST_CASE_FIXTURE(PreloadsFixture,
                  "a library that nobody has listed is told when it registers workers") {
  Make("lib/unknown.so", std::string("\0RegisterBackgroundWorker\0", 26));
  Make("lib/fine.so", std::string("\0RegisterBackgroundWorker\0", 26));
  Make("lib/plain.so");
  CHECK(Only("unknown").has_unknown_workers);
  CHECK(Only("unknown").fate == Fate::kLoaded);
  CHECK_FALSE(Only("fine").has_unknown_workers);
  CHECK_FALSE(Only("plain").has_unknown_workers);
}
