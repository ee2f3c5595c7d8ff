// A store with a branch "main", and words for what tests do with branches.
#pragma once

#include <sys/stat.h>

#include <iterator>
#include <string>
#include <vector>

#include "tests/store/store_fixture.h"
#include "velafs/sql/database.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::store {

struct Listener : MountListener {
  void BranchAdded(const std::string& name) override { told.push_back("+" + name); }
  void BranchRemoved(const std::string& name) override { told.push_back("-" + name); }
  Status SendWrites(layer::Branch& branch) override {
    sent.push_back(branch.name());
    return sending;
  }
  std::vector<std::string> told;
  std::vector<std::string> sent;
  Status sending;  // what it comes to
};

struct BranchesFixture : test::StoreFixture {
  BranchesFixture() { Import("main"); }

  std::vector<std::string> Names() {
    const auto names = store->branches().Names();
    REQUIRE(names.ok());
    return *names;
  }
  // Replaces the first bytes of a file of a branch.
  void WriteInto(const std::string& name, const std::string& text) {
    const auto branch = store->volume().Open(name);
    REQUIRE(branch.ok());
    const auto file = (*branch)->Lookup((*branch)->root(), "PG_VERSION");
    REQUIRE(file.ok());
    const Status written = (*branch)->Write(file->ino, 0, std::as_bytes(std::span(text)));
    REQUIRE_MESSAGE(written.ok(), written.message());
  }
  BranchInfo Info(const std::string& name) {
    const auto info = store->branches().Show(name);
    REQUIRE_MESSAGE(info.ok(), info.status().message());
    return *info;
  }
  layer::Branch& Opened(const std::string& name) {
    const auto branch = store->volume().Open(name);
    REQUIRE_MESSAGE(branch.ok(), branch.status().message());
    return **branch;
  }
  static uint64_t WorksIn(pid_t pid) {
    struct stat info {};
    REQUIRE(stat(("/proc/" + std::to_string(pid) + "/cwd").c_str(), &info) == 0);
    return info.st_ino;
  }
  // Stands in for the mount: that process makes the branch's postmaster.pid.
  void StartServer(const std::string& name, pid_t pid) {
    layer::Branch& branch = Opened(name);
    const Status claimed =
        store->server_registry().Claim({branch.instance(), branch.root()}, WorksIn(pid), pid);
    REQUIRE_MESSAGE(claimed.ok(), claimed.message());
  }
  void Bookmark(const std::string& name) {
    const auto made = store->bookmarks().Create(caller, name, "");
    REQUIRE_MESSAGE(made.ok(), made.status().message());
  }
  void Delete(const std::string& name, bool purge = false) {
    const auto deleted =
        store->trash().Delete(caller, name, {.force = false, .purge = purge, .dry_run = false});
    REQUIRE_MESSAGE(deleted.ok(), deleted.status().message());
  }
  std::vector<std::string> Trash() {
    const auto trash = store->trash().List();
    REQUIRE(trash.ok());
    std::vector<std::string> names;
    for (const BranchInfo& branch : *trash) names.push_back(branch.name);
    return names;
  }
  // Changes the catalog behind the store's back, while it is closed without a clean end.
  void Change(const std::string& statement) {
    store.reset();
    {
      auto database = sql::Database::Open(root + "/catalog.db", 0);
      REQUIRE(database.ok());
      const Status done = (*database)->Execute(statement);
      REQUIRE_MESSAGE(done.ok(), done.message());
    }
    Reopen();
  }
  size_t LayersOnDisk() {
    const test::fs::directory_iterator layers(root + "/layers");
    return static_cast<size_t>(std::distance(layers, test::fs::directory_iterator()));
  }
};

// Somebody who may change only what is alice's.
inline const Caller kAlice{geteuid() + 4242, "alice"};

}  // namespace velafs::store
