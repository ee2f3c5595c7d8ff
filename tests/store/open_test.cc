#include <sys/stat.h>

#include "tests/store/hooked_storage.h"
#include "tests/store/store_fixture.h"
#include "velafs/catalog/catalog.h"

namespace velafs::store {
namespace {

using namespace test;

uint32_t ModeOf(const std::string& path) {
  struct stat info;
  REQUIRE(stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

TEST_CASE("a new store's directories have their modes whatever the umask, its parents are made") {
  const ScratchDirectory scratch;
  const std::string root = scratch / "a/b/store";
  const mode_t umask_before = umask(0077);
  REQUIRE(Store::Init(root).ok());
  umask(umask_before);
  CHECK(ModeOf(root) == 0711);
  CHECK(ModeOf(root + "/packs") == 0700);
  CHECK(ModeOf(root + "/layers") == 0700);
  CHECK(ModeOf(root + "/run") == 0711);
  CHECK(ModeOf(root + "/catalog.db") == 0600);
  CHECK(Store::Open(root).ok());
}

TEST_CASE("a store is not made where one is") {
  const ScratchDirectory scratch;
  REQUIRE(Store::Init(scratch / "store").ok());
  const Status again = Store::Init(scratch / "store");
  CHECK(again.code() == Code::kExists);
  CheckMessage(again, "cannot make a store in \"" + scratch / "store" + "\"");
}

TEST_CASE("a store is made in an empty directory but not among other files") {
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "empty");
  CHECK(Store::Init(scratch / "empty").ok());
  WriteHostFile(scratch / "full/letter", "dear");
  CHECK(Store::Init(scratch / "full").code() == Code::kRefused);
  CHECK(fs::exists(scratch / "full/letter"));
  CHECK_FALSE(fs::exists(scratch / "full/packs"));
}

TEST_CASE("making a store can be repeated after a failure at any point") {
  for (int allowed = 0;; ++allowed) {
    REQUIRE(allowed < 50);
    const ScratchDirectory scratch;
    int left = allowed;
    HookedStorage storage(
        [&](const std::string&) { return left-- > 0 ? Status() : Errno(ENOSPC); });
    const Status made = Store::Init(scratch / "store", storage);
    if (!made.ok()) CHECK(made.error_number() == ENOSPC);
    if (!made.ok() && !fs::exists(scratch / "store/catalog.db")) {
      const Status again = Store::Init(scratch / "store");
      CHECK_MESSAGE(again.ok(), again.message());
    }
    CHECK(Store::Open(scratch / "store").ok());
    if (made.ok()) break;
  }
}

TEST_CASE("where no store is, opening says how to make one") {
  const ScratchDirectory scratch;
  const auto opened = Store::Open(scratch / "none");
  CHECK(opened.status().code() == Code::kNotFound);
  CheckMessage(opened.status(), "there is no store at \"" + scratch / "none" + "\"");
  CHECK(opened.status().hint().find("velafs --store " + scratch / "none" + " init") !=
        std::string::npos);
  CHECK_FALSE(fs::exists(scratch / "none"));
}

TEST_CASE_FIXTURE(StoreFixture,
                  "a store that another process has open is refused, naming its pid") {
  store.reset();
  int ready[2];
  int done[2];
  REQUIRE(pipe(ready) == 0);
  REQUIRE(pipe(done) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto opened = Store::Open(root);
    char byte = opened.ok() ? '1' : '0';
    if (write(ready[1], &byte, 1) == 1 && read(done[0], &byte, 1) == 1) _exit(0);
    _exit(1);
  }
  char byte = '0';
  REQUIRE(read(ready[0], &byte, 1) == 1);
  REQUIRE(byte == '1');
  const auto refused = Store::Open(root);
  CHECK(refused.status().code() == Code::kLocked);
  CHECK(refused.status().message() ==
        "store \"" + root + "\" is in use by process " + std::to_string(child));
  REQUIRE(write(done[1], "x", 1) == 1);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  for (int end : {ready[0], ready[1], done[0], done[1]}) close(end);
  Reopen();
}

TEST_CASE_FIXTURE(StoreFixture,
                  "files in packs/ that the catalog does not know go when it is opened") {
  Import("main");
  store.reset();
  {
    // Their numbers have been given.
    const auto catalog = catalog::Catalog::Open(root + "/catalog.db");
    REQUIRE(catalog.ok());
    catalog::GivenIds ids;
    ids.layer = LayerId(4711);
    ids.pack = PackId(77);
    const auto raised =
        (*catalog)->Write([&ids](catalog::Writer& writer) { return writer.RaiseIds(ids); });
    REQUIRE(raised.ok());
  }
  Reopen();
  WriteHostFile(root + "/packs/77.pack", "left by a crash");
  WriteHostFile(root + "/packs/notes.txt", "not ours");
  fs::create_directory(root + "/layers/4711");
  const Tree before = BranchTree("main");
  Reopen();
  CHECK_FALSE(fs::exists(root + "/packs/77.pack"));
  CHECK(fs::exists(root + "/packs/notes.txt"));
  CHECK_FALSE(fs::exists(root + "/layers/4711"));
  CHECK(BranchTree("main") == before);
}

TEST_CASE_FIXTURE(StoreFixture, "a store that others may write to is refused, with what to do") {
  store.reset();
  for (const int mode : {0713, 0731}) {
    REQUIRE(chmod(root.c_str(), static_cast<mode_t>(mode)) == 0);
    const auto opened = Store::Open(root);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.status().code() == Code::kRefused);
    CHECK(opened.status().hint().ends_with("chmod go-w '" + root + "'"));
  }
  REQUIRE(chmod(root.c_str(), 0711) == 0);
  Reopen();
}

TEST_CASE_FIXTURE(StoreFixture, "a store of another user's is for him to serve") {
  if (geteuid() != 0) return;
  store.reset();
  REQUIRE(chown(root.c_str(), 4242, 4242) == 0);
  CHECK(Store::Open(root).status().code() == Code::kUnreachable);
  REQUIRE(chown(root.c_str(), 0, 0) == 0);
  Reopen();
}

TEST_CASE_FIXTURE(StoreFixture, "a store closed cleanly opens again with all it held") {
  Import("main");
  Clone("main", "dev");
  const Tree before = BranchTree("dev");
  CHECK(store->Close().ok());
  Reopen();
  CHECK(BranchTree("dev") == before);
}

}  // namespace
}  // namespace velafs::store
