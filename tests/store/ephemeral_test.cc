// Branches to be thrown away: nothing of them needs to reach the disk before a freeze.
#include "tests/store/branches_fixture.h"
#include "tests/store/hooked_storage.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/scrub/scrub.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

struct EphemeralFixture : BranchesFixture {
  EphemeralFixture() {
    CloneOptions options;
    options.is_ephemeral = true;
    REQUIRE(store->branches().Clone(caller, "main", "test", options).ok());
  }
  std::string VersionOf(const std::string& name) {
    return TreeOfBranch(store->volume(), name)["PG_VERSION"];
  }
  void Sync(const std::string& name) {
    const auto branch = store->volume().Open(name);
    REQUIRE(branch.ok());
    const auto file = (*branch)->Lookup((*branch)->root(), "PG_VERSION");
    REQUIRE(file.ok());
    REQUIRE((*branch)->Sync(file->ino, os::SyncKind::kFull).ok());
  }
};

TEST_CASE_FIXTURE(EphemeralFixture, "an ephemeral branch that was not closed loses its changes") {
  CHECK(Info("test").is_ephemeral);
  CHECK_FALSE(Info("main").is_ephemeral);
  const std::string before = VersionOf("main");
  WriteInto("test", "99");
  Sync("test");
  WriteInto("main", "77");
  Sync("main");
  const std::string changed = VersionOf("main");
  CHECK(VersionOf("test") != before);
  Reopen();
  CHECK(VersionOf("test") == before);
  CHECK(VersionOf("main") == changed);
  CHECK(Info("test").is_ephemeral);
  CHECK(store->context().ephemerals_reset == std::vector<std::string>{"test"});
  const auto log = store->audit_log().List({.verb = "reset"});
  REQUIRE(log.ok());
  CHECK(log->size() == 1);
  WriteInto("test", "98");
  CHECK(VersionOf("test") != before);
}

TEST_CASE_FIXTURE(EphemeralFixture, "an ephemeral branch that was closed has its changes") {
  WriteInto("test", "99");
  const std::string changed = VersionOf("test");
  REQUIRE(store->Close().ok());
  Reopen();
  CHECK(VersionOf("test") == changed);
}

TEST_CASE_FIXTURE(EphemeralFixture, "an ephemeral branch keeps what was frozen of it") {
  WriteInto("test", "98");
  const std::string frozen = VersionOf("test");
  Bookmark("test@point");
  REQUIRE(store->branches().Clone(caller, "test", "copy", {}).ok());
  CHECK_FALSE(Info("copy").is_ephemeral);
  WriteInto("test", "99");
  const auto own_bytes = Info("test").own_bytes;
  Reopen();
  CHECK(VersionOf("test") == frozen);
  CHECK(VersionOf("copy") == frozen);
  CHECK(Info("test").own_bytes < own_bytes);
  REQUIRE(store->replacing().Promote(caller, "test", "main", false).ok());
  Reopen();
  CHECK(VersionOf("main") == frozen);
}

TEST_CASE_FIXTURE(EphemeralFixture, "an ephemeral branch comes back from the trash as it went") {
  WriteInto("test", "99");
  const std::string changed = VersionOf("test");
  Delete("test");
  Reopen();
  REQUIRE(store->trash().Undelete(caller, "test", {}).ok());
  CHECK(VersionOf("test") == changed);
}

TEST_CASE_FIXTURE(EphemeralFixture,
                  "changes later than a restored catalog are none of its branches") {
  const std::string before = VersionOf("test");
  REQUIRE(store->Close().ok());
  Reopen();
  WriteInto("test", "99");
  store.reset();
  REQUIRE(fs::remove(root + "/catalog.db"));
  fs::remove(root + "/catalog.db-wal");
  const auto report = ScrubClosedStore(root, {.repair = true}, nullptr);
  REQUIRE_MESSAGE(report.ok(), report.status().message());
  Reopen();
  CHECK(VersionOf("test") == before);
  CHECK(store->context().ephemerals_reset == std::vector<std::string>{"test"});
}

TEST_CASE_FIXTURE(EphemeralFixture, "an fsync on an ephemeral branch does no I/O") {
  int accesses = 0;
  HookedStorage storage([&accesses](const std::string&) {
    ++accesses;
    return Status();
  });
  Reopen(storage);
  for (const char* name : {"main", "test"}) {
    WriteInto(name, "99");
    const int before = accesses;
    Sync(name);
    CHECK((accesses > before) == (std::string(name) == "main"));
  }
  Reopen();
}

// What is written while the first sync runs is on disk before the transaction, too: afterwards a
// crash could keep the freeze without it.
TEST_CASE_FIXTURE(EphemeralFixture, "a freeze of an ephemeral branch syncs all before it commits") {
  std::string armed;  // the page file whose next access has another one written
  std::string late;
  std::function<void()> write_late;
  int accesses = 0;  // to the late one
  HookedStorage storage([&](const std::string& path) {
    if (path == late) ++accesses;
    if (path == armed) {
      armed.clear();
      write_late();
    }
    return Status();
  });
  Reopen(storage);
  {
    const auto branch = store->volume().Open("test");
    REQUIRE(branch.ok());
    const auto make = [&](const std::string& name) {
      const auto made = (*branch)->Make((*branch)->root(), name, {.mode = S_IFREG | 0600});
      REQUIRE(made.ok());
      return made->ino;
    };
    const auto write = [&](InodeNumber ino) {
      const std::string text = "text";
      REQUIRE((*branch)->Write(ino, 0, std::as_bytes(std::span(text))).ok());
    };
    const InodeNumber first = make("first");
    const InodeNumber second = make("second");
    const auto path_of = [&](InodeNumber ino) {
      const std::string layer = std::to_string((*branch)->Layers()[0]->id().value);
      return root + "/layers/" + layer + "/" + std::to_string(ino.value);
    };
    write(first);
    REQUIRE((*branch)->SyncAll(false).ok());
    write(first);
    late = path_of(second);
    int written = 0;
    write_late = [&] {
      write(second);
      written = accesses;
    };
    armed = path_of(first);
    int at_commit = 0;
    const Status frozen = store->volume().Freeze("test", [&](catalog::Writer&, LayerId) -> Status {
      at_commit = accesses;
      return {};
    });
    REQUIRE_MESSAGE(frozen.ok(), frozen.message());
    CHECK(written > 0);
    CHECK(at_commit > written);
  }
  Reopen();
}

}  // namespace
}  // namespace velafs::store
