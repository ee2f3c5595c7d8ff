// Stores of earlier formats open, and are what they were.
#include "tests/os/volatile_storage.h"
#include "tests/sql/storage_vfs.h"
#include "tests/store/golden_v7.h"
#include "velafs/catalog/schema.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

struct Golden {
  std::unique_ptr<Store> Open() {
    auto opened = Store::Open(root);
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    return *std::move(opened);
  }
  int64_t Integer(const std::string& query) {
    auto database = sql::Database::Open(root + "/catalog.db", 0);
    REQUIRE(database.ok());
    const auto number = (*database)->Integer(query);
    REQUIRE_MESSAGE(number.ok(), number.status().message());
    return *number;
  }

  ScratchDirectory scratch;
  const std::string root = scratch / "store";
  const Caller caller{getuid(), "tester"};
};

struct GoldenV1 : Golden {
  GoldenV1() { MakeGoldenV1(root); }
};

struct GoldenV2 : Golden {
  GoldenV2() { MakeGoldenV2(root); }
};

struct GoldenV3 : Golden {
  GoldenV3() { MakeGoldenV3(root); }
};

struct GoldenV4 : Golden {
  GoldenV4() { MakeGoldenV4(root); }
};

struct GoldenV5 : Golden {
  GoldenV5() { MakeGoldenV5(root); }
};

struct GoldenV6 : Golden {
  GoldenV6() { MakeGoldenV6(root); }
};

struct GoldenV7 : Golden {
  GoldenV7() { MakeGoldenV7(root); }
};

std::string FileIn(Store& store, const std::string& branch, const std::string& path) {
  const Tree tree = TreeOfBranch(store.volume(), branch);
  const auto found = tree.find(path);
  return found == tree.end() ? "" : found->second;
}

TEST_CASE_FIXTURE(GoldenV1, "a store of version 1 opens with its branches, labels and bookmarks") {
  const auto store = Open();
  const auto list = store->branches().List();
  REQUIRE(list.ok());
  REQUIRE(list->size() == 6);
  const auto find = [&](const std::string& name) {
    const auto info = store->branches().Show(name);
    REQUIRE(info.ok());
    return *info;
  };
  CHECK_FALSE(find("main").parent);
  const BranchInfo dev = find("dev");
  CHECK(dev.parent == "main");
  CHECK(dev.parent_id == find("main").id);
  CHECK(dev.owner == "alice");
  CHECK(dev.note == "a note");
  CHECK(dev.labels == std::map<std::string, std::string>{{"team", "db"}});
  CHECK(dev.expires_at == dev.created_at + TimeNs{7} * 86400 * 1'000'000'000);
  CHECK(dev.logical_bytes == 25);
  CHECK(find("copy").parent == "dev");
  CHECK(find("retry").parent_bookmark == "main@before");
  CHECK(find("orphan").parent == "gone");
  CHECK_FALSE(find("orphan").parent_id);  // it is not the "gone" that came later

  const auto bookmarks = store->bookmarks().List({});
  REQUIRE(bookmarks.ok());
  REQUIRE(bookmarks->size() == 2);
  CHECK((*bookmarks)[0].name == "dev@point");
  CHECK((*bookmarks)[1].name == "main@before");
  CHECK((*bookmarks)[1].note == "kept");
  CHECK_FALSE((*bookmarks)[1].expires_at);
}

TEST_CASE_FIXTURE(GoldenV1, "a store of version 1 opens with every byte of its files") {
  const auto store = Open();
  CHECK(FileIn(*store, "main", "base/1259") == FileIn(*store, "retry", "base/1259"));
  CHECK(FileIn(*store, "dev", "base/1259") == FileIn(*store, "copy", "base/1259"));
  CHECK(FileIn(*store, "dev", "base/1259") != FileIn(*store, "main", "base/1259"));
  CHECK(FileIn(*store, "main", "new").empty());
  const auto branch = store->volume().Open("copy");
  REQUIRE(branch.ok());
  const auto base = (*branch)->Lookup((*branch)->root(), "base");
  REQUIRE(base.ok());
  const auto file = (*branch)->Lookup(base->ino, "1259");
  REQUIRE(file.ok());
  std::string text(file->size_bytes, '?');
  REQUIRE((*branch)->Read(file->ino, 0, std::as_writable_bytes(std::span(text))).ok());
  CHECK(text == "second row\n");
}

TEST_CASE_FIXTURE(GoldenV1, "a migrated store takes every verb, and gives no id twice") {
  {
    const auto store = Open();
    CHECK(store->replacing().Reset(caller, "copy", {}, {}).ok());
    CHECK(store->replacing().Reset(caller, "retry", {}, {}).ok());
    const auto orphan = store->replacing().Reset(caller, "orphan", {}, {});
    CHECK(orphan.status().code() == Code::kNotFound);
    const auto clone = store->branches().Clone(caller, "main", "later", {});
    REQUIRE(clone.ok());
    CHECK(clone->id == 9);  // 8 was given to a branch that is gone
    REQUIRE(store->trash().Delete(caller, "main", {}).ok());
    CHECK(store->trash().List()->size() == 1);
    REQUIRE(store->Close().ok());
  }
  CHECK(Integer("PRAGMA user_version") == catalog::kSchemaVersion);
  CHECK(Integer("SELECT count(*) FROM pragma_foreign_key_check") == 0);
  CHECK(Integer("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'") == 0);
}

// Each column and index, however the table came to be.
std::vector<std::string> ShapeOf(const std::string& catalog) {
  auto database = sql::Database::Open(catalog, 0);
  REQUIRE(database.ok());
  auto statement = (*database)->Prepare(
      "SELECT m.name || ' ' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk"
      " FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'"
      " UNION ALL SELECT 'trigger ' || name FROM sqlite_schema WHERE type = 'trigger'"
      " UNION ALL SELECT m.name || ' ' || i.name || ' ' || i.\"unique\" || ' ' || i.partial"
      " FROM sqlite_schema m, pragma_index_list(m.name) i WHERE m.type = 'table' ORDER BY 1");
  REQUIRE_MESSAGE(statement.ok(), statement.status().message());
  std::vector<std::string> shape;
  sql::Query query(*statement);
  const Status read =
      query.ForEach("shape", [&](sql::Query& row) { shape.emplace_back(row.Text(0)); });
  REQUIRE(read.ok());
  return shape;
}

void CheckHasTheTablesOfANewOne(Golden& golden) {
  golden.Open().reset();
  const std::string fresh = golden.scratch / "fresh";
  REQUIRE(Store::Init(fresh).ok());
  CHECK(ShapeOf(golden.root + "/catalog.db") == ShapeOf(fresh + "/catalog.db"));
}

TEST_CASE_FIXTURE(GoldenV1, "a migrated catalog has the tables of a new one") {
  CheckHasTheTablesOfANewOne(*this);
}

TEST_CASE_FIXTURE(GoldenV2, "a catalog migrated from version 2 has the tables of a new one") {
  CheckHasTheTablesOfANewOne(*this);
}

TEST_CASE_FIXTURE(GoldenV4, "a catalog migrated from version 4 has the tables of a new one") {
  CheckHasTheTablesOfANewOne(*this);
}

TEST_CASE_FIXTURE(GoldenV4, "a store of version 4 opens with all it had, and is sealed") {
  std::string before;
  {
    const auto store = Open();
    CHECK(store->bookmarks().List({})->size() == 3);
    before = FileIn(*store, "dev", "base/1259");
    CHECK(before != FileIn(*store, "main", "base/1259"));
    const auto sealed = store->upkeep().Seal(caller, std::chrono::seconds(0), [] { return true; });
    REQUIRE_MESSAGE(sealed.ok(), sealed.status().message());
    CHECK(sealed->layers > 0);
    CHECK(FileIn(*store, "dev", "base/1259") == before);
    REQUIRE(store->Close().ok());
  }
  CHECK(FileIn(*Open(), "dev", "base/1259") == before);
  CHECK(Integer("PRAGMA user_version") == catalog::kSchemaVersion);
  CHECK(Integer("SELECT count(*) FROM branches WHERE shown_uid = 1000 AND shown_gid = 1001") == 1);
  CHECK(Integer("SELECT count(*) FROM bookmarks WHERE scheduled = 1") == 1);
}

TEST_CASE_FIXTURE(GoldenV5, "a catalog migrated from version 5 has the tables of a new one") {
  CheckHasTheTablesOfANewOne(*this);
}

TEST_CASE_FIXTURE(GoldenV5, "a store of version 5 opens with what was sealed, which is counted") {
  {
    const auto store = Open();
    const auto branch = store->volume().Open("dev");
    REQUIRE_MESSAGE(branch.ok(), branch.status().message());
    const auto file = (*branch)->Lookup((*branch)->root(), "new");
    REQUIRE(file.ok());
    std::string text(file->size_bytes, '?');
    REQUIRE((*branch)->Read(file->ino, 0, std::as_writable_bytes(std::span(text))).ok());
    CHECK(text == "new\n");
    CHECK_FALSE(store->branches().Show("dev")->is_ephemeral);
    CHECK(Integer("SELECT seals FROM layers WHERE id = 5") == 1);
    const auto sealed = store->upkeep().Seal(caller, std::chrono::seconds(0), [] { return true; });
    REQUIRE_MESSAGE(sealed.ok(), sealed.status().message());
    CHECK(FileIn(*store, "dev", "base/1259") != FileIn(*store, "main", "base/1259"));
    REQUIRE(store->Close().ok());
  }
  CHECK(Integer("SELECT seals FROM layers WHERE id = 5") == 2);
  CHECK(fs::exists(root + "/layers/5/sealed.2"));
  CHECK_FALSE(fs::exists(root + "/layers/5/sealed"));
  const auto store = Open();
  CHECK(FileIn(*store, "dev", "base/1259") != FileIn(*store, "main", "base/1259"));
}

TEST_CASE_FIXTURE(GoldenV6, "a catalog migrated from version 6 has the tables of a new one") {
  CheckHasTheTablesOfANewOne(*this);
}

TEST_CASE_FIXTURE(GoldenV6, "a store of version 6 opens with a log that can be trimmed") {
  {
    const auto store = Open();
    CHECK(store->audit_log().Verify({})->count == 1);
    CHECK(store->audit_log().Begin()->count == 0);
    const auto trimmed = store->audit_log().Trim(caller, {.max_entries = 1}, NowNs(), false);
    CHECK(trimmed->entries == 0);
    REQUIRE(store->audit_log().Append(NewAuditEntry(caller, "note")).ok());
    REQUIRE(store->audit_log().Trim(caller, {.max_entries = 1}, NowNs(), false)->entries == 2);
    CHECK(store->audit_log().Verify({})->count == 3);
    CHECK(FileIn(*store, "dev", "base/1259") != FileIn(*store, "main", "base/1259"));
    REQUIRE(store->Close().ok());
  }
  CHECK(Integer("PRAGMA user_version") == catalog::kSchemaVersion);
  CHECK(Integer("SELECT count(*) FROM audit") == 1);
}

TEST_CASE_FIXTURE(GoldenV6, "bookmarks that on_expire made are none of their branch's own states") {
  const Caller alice{geteuid() + 4242, "nobody here"};
  const auto store = Open();
  REQUIRE(store->governance()
              .SetPolicies(catalog::SettingScope::kStore, {}, {{"approved_sources_only", "on"}})
              .ok());
  REQUIRE(store->governance().SetApproved("main", true).ok());
  for (const char* name : {"expired-pr-1", "expired-pr-2"}) {
    const auto clone = store->branches().Clone(alice, std::string("main@") + name, "mine", {});
    CHECK(clone.status().code() == Code::kRefused);
  }
  CHECK(store->branches().Clone(alice, "main@before", "mine", {}).ok());
  CHECK(Integer("SELECT count(*) FROM settings WHERE key = 'state_of' AND value = 'pr-1'") == 1);
}

TEST_CASE_FIXTURE(GoldenV7, "a catalog migrated from version 7 has the tables of a new one") {
  CheckHasTheTablesOfANewOne(*this);
}

TEST_CASE_FIXTURE(GoldenV7, "a layer that version 7 never settled is settled, and then sealed") {
  {
    const auto store = Open();
    const std::string before = FileIn(*store, "dev", "base/1259");
    CHECK(before != FileIn(*store, "main", "base/1259"));
    REQUIRE(store->Close().ok());
    CHECK(Integer("SELECT is_settled FROM layers WHERE id = 5") == 0);
    CHECK(Integer("SELECT count(*) FROM layers WHERE is_settled = 1 AND id <> 5") == 7);
  }
  {
    const auto store = Open();
    const std::string before = FileIn(*store, "dev", "base/1259");
    REQUIRE(store->upkeep().Seal(caller, std::chrono::seconds(0), [] { return true; })->layers ==
            1);
    CHECK(FileIn(*store, "dev", "base/1259") == before);
    REQUIRE(store->Close().ok());
  }
  CHECK(Integer("SELECT is_settled FROM layers WHERE id = 5") == 1);
  CHECK(Integer("SELECT logical_bytes FROM layers WHERE id = 5") == 25);
  CHECK(Integer("SELECT state FROM layers WHERE id = 5") == 3);
}

TEST_CASE_FIXTURE(GoldenV2, "a store of version 2 opens with all it had, and an empty audit log") {
  {
    const auto store = Open();
    CHECK(store->branches().List()->size() == 5);
    CHECK(store->branches().Show("dev")->is_protected);
    CHECK(store->branches().Show("retry")->parent_bookmark == "main@before");
    const auto bookmarks = store->bookmarks().List({});
    REQUIRE(bookmarks.ok());
    REQUIRE(bookmarks->size() == 3);
    const auto kept = std::ranges::find(*bookmarks, "dev@kept", &BookmarkInfo::name);
    REQUIRE(kept != bookmarks->end());
    CHECK(kept->expires_at == kept->created_at + TimeNs{30} * 86400 * 1'000'000'000);
    CHECK(FileIn(*store, "dev", "base/1259") != FileIn(*store, "main", "base/1259"));
    CHECK(store->trash().Undelete(caller, "copy", {}).ok());
    CHECK(store->audit_log().List({})->empty());
    catalog::AuditRow entry;
    entry.verb = "note";
    REQUIRE(store->audit_log().Append(entry).ok());
    CHECK(store->audit_log().Verify({})->count == 1);
    CHECK(store->policies().Get("ttl", nullptr).empty());
    REQUIRE(store->Close().ok());
  }
  CHECK(Integer("PRAGMA user_version") == catalog::kSchemaVersion);
  CHECK(Integer("SELECT count(*) FROM pragma_foreign_key_check") == 0);
}

TEST_CASE_FIXTURE(GoldenV3, "a catalog migrated from version 3 has the tables of a new one") {
  CheckHasTheTablesOfANewOne(*this);
}

TEST_CASE_FIXTURE(GoldenV3, "a store of version 3 opens with its policies and its audit log") {
  {
    const auto store = Open();
    CHECK(store->branches().List()->size() == 5);
    CHECK(store->policies().Get("ttl", nullptr) == "3d");
    const auto policies = store->governance().ShowPolicies("dev");
    REQUIRE(policies.ok());
    const auto find = [&](const std::string& key) {
      const auto found = std::ranges::find(*policies, key, &PolicyValue::key);
      REQUIRE(found != policies->end());
      const std::string_view from =
          found->from ? NameOf(store::kPolicyScopes, *found->from) : "default";
      return found->value + " from " + std::string(from);
    };
    CHECK(find("max_branches") == "20 from source");
    CHECK(find("on_expire") == "keep from branch");
    CHECK(store->audit_log().Verify({})->count == 1);
    CHECK(store->audit_log().List({})->front().user == "alice");
    REQUIRE(store->branches().Clone(caller, "dev@point", "clone", {}).ok());
    CHECK(FileIn(*store, "clone", "base/1259") == FileIn(*store, "dev", "base/1259"));
    REQUIRE(store->Close().ok());
  }
  CHECK(Integer("PRAGMA user_version") == catalog::kSchemaVersion);
  CHECK(Integer("SELECT count(*) FROM bookmarks WHERE root = 1 AND scheduled = 0") == 3);
  CHECK(Integer("SELECT count(*) FROM branches WHERE first_layer = head") == 7);
  CHECK(Integer("SELECT count(*) FROM pragma_foreign_key_check") == 0);
}

TEST_CASE_FIXTURE(GoldenV1, "a migration that fails leaves the store as it was") {
  {
    auto database = sql::Database::Open(root + "/catalog.db", 0);
    REQUIRE(database.ok());
    REQUIRE((*database)->Execute("CREATE TABLE new_branches(in_the_way)").ok());
  }
  const auto opened = Store::Open(root);
  REQUIRE_FALSE(opened.ok());
  CheckMessage(opened.status(), "cannot bring it to schema version");
  CHECK(Integer("PRAGMA user_version") == 1);
  CHECK(Integer("SELECT count(*) FROM branches WHERE parent = 'main'") == 3);
  CHECK(Integer("SELECT count(*) FROM pragma_table_info('bookmarks') WHERE name = 'expires_at'") ==
        0);
}

// Copies the store to a disk in memory, durably.
void CopyTo(VolatileStorage& disk, const std::string& from, const std::string& to) {
  disk.MakeDurableDirectories(to + "/packs");
  disk.MakeDurableDirectories(to + "/layers/5");
  for (const char* name :
       {"/catalog.db", "/packs/1.pack", "/layers/5/6", "/layers/5/6.map", "/layers/5/7"}) {
    const auto file = disk.Open(to + name, os::OpenMode::kCreateNew);
    REQUIRE(file.ok());
    const std::string bytes = ReadHostFile(from + name);
    REQUIRE((*file)->Write(0, std::as_bytes(std::span(bytes))).ok());
    REQUIRE((*file)->Sync(os::SyncKind::kFull).ok());
  }
  for (const char* name : {"", "/packs", "/layers", "/layers/5"}) {
    REQUIRE(disk.SyncDirectory(to + name).ok());
  }
}

TEST_CASE_FIXTURE(GoldenV1, "a migration cut off at any change is done by the next opening") {
  uint64_t cuts = 0;
  for (bool was_cut = true; was_cut; ++cuts) {
    INFO("cut after ", cuts, " changes");
    const std::string directory = scratch / ("disk-" + std::to_string(cuts));
    VolatileStorage disk(static_cast<unsigned>(cuts));
    const StorageForSqlite sqlite(directory, disk);
    fs::create_directories(directory + "/run");
    CopyTo(disk, root, directory);
    disk.CutAfter(cuts);
    auto opened = Store::Open(directory, disk);
    was_cut = disk.is_off();
    REQUIRE_MESSAGE((opened.ok() || was_cut), opened.status().message());
    disk.CutOff();
    if (opened.ok()) opened->reset();
    disk.PowerOn();
    if (opened.ok()) {
      auto database = sql::Database::Open(directory + "/catalog.db", 0);
      REQUIRE(database.ok());
      CHECK(*(*database)->Integer("PRAGMA user_version") == catalog::kSchemaVersion);
    }
    const auto again = Store::Open(directory, disk);
    REQUIRE_MESSAGE(again.ok(), again.status().message());
    CHECK((*again)->branches().List()->size() == 6);
    CHECK((*again)->branches().Show("retry")->parent_bookmark == "main@before");
    CHECK(FileIn(**again, "main", "base/1259") == FileIn(**again, "retry", "base/1259"));
  }
  CHECK(cuts > 10);
}

}  // namespace
}  // namespace velafs::store
