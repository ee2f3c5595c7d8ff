// Bytes on disk that are not what was written, at random: whatever reads them says so, or reads
// something, but never crashes. Meant for the sanitizers. VELAFS_SEED replays a run, VELAFS_STEPS
// makes it longer.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include <cstring>
#include <random>
#include <set>

#include "tests/random.h"
#include "tests/store/store_fixture.h"
#include "velafs/chunk/pack_format.h"
#include "velafs/layer/page_map.h"
#include "velafs/sql/database.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/scrub/scrub.h"
#include "velafs/store/state_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

class Damager {
 public:
  explicit Damager(unsigned seed) : random_(seed) {}

  size_t Below(size_t limit) { return random_() % limit; }
  uint64_t Number() {
    const uint64_t bits = uint64_t{random_()} << 32 | random_();
    return bits >> Below(64);
  }
  std::byte Byte() { return static_cast<std::byte>(random_()); }
  // Changes some bytes, or replaces the end.
  void Damage(std::span<std::byte> bytes) {
    if (bytes.empty()) return;
    for (size_t i = 0, count = 1 + Below(4); i < count; ++i) bytes[Below(bytes.size())] = Byte();
    if (Below(8) == 0) {
      for (std::byte& byte : bytes.subspan(Below(bytes.size()))) byte = Byte();
    }
  }

 private:
  std::mt19937 random_;
};

unsigned long Steps(unsigned long otherwise) { return FromEnvironment("VELAFS_STEPS", otherwise); }

// Checksums guard what is below; so half of the damaged blocks get a right one.
template <typename Bytes>
void StoreCrc(Bytes& block) {
  uint32_t crc = ~0U;
  const auto covered = std::as_bytes(std::span(block)).first(block.size() - sizeof crc);
  for (const std::byte byte : covered) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  crc = ~crc;
  std::memcpy(block.data() + block.size() - sizeof crc, &crc, sizeof crc);
}

TEST_CASE("a damaged page map is read without harm, or said to be damaged") {
  const unsigned seed = Seed();
  MESSAGE("replay with VELAFS_SEED=", seed);
  Damager damager(seed);
  for (unsigned long step = 0; step < Steps(20'000); ++step) {
    INFO("VELAFS_SEED=", seed, " step ", step);
    layer::PageMap map(LayerId(3), InodeNumber(7), damager.Number() >> 20);
    for (int i = 0; i < 3; ++i)
      map.ClaimPages(PageNumber(damager.Below(20'000)), damager.Below(300));
    std::vector<std::byte> file;
    for (const auto& block : map.TakeDirty()) {
      file.resize(std::max<size_t>(file.size(), block.offset_bytes + block.content.size()));
      std::memcpy(file.data() + block.offset_bytes, block.content.data(), block.content.size());
    }
    damager.Damage(file);
    if (damager.Below(3) == 0) file.resize(damager.Below(file.size() + 1));
    if (damager.Below(2) == 0) {
      for (size_t at = 0; at + 512 <= file.size(); at += 512) {
        auto block = std::span(file).subspan(at, 512);
        StoreCrc(block);
      }
    }
    auto decoded = layer::PageMap::Decode(LayerId(3), InodeNumber(7), file);
    if (!decoded.ok()) {
      CHECK(decoded.status().code() == Code::kCorrupt);
      continue;
    }
    for (int i = 0; i < 20; ++i) {
      const uint64_t limit = 1 + damager.Number() / 2;
      const auto run = decoded->RunAt(PageNumber(damager.Number() >> 14), limit);
      CHECK(run.pages >= 1);
      CHECK(run.pages <= limit);
    }
    decoded->HideFrom(damager.Number());
    decoded->ClaimPages(PageNumber(damager.Below(100'000)), damager.Below(1000));
    static_cast<void>(decoded->TakeDirty());
  }
}

TEST_CASE("a damaged header of a pack or record is read without harm, or said to be damaged") {
  const unsigned seed = Seed();
  MESSAGE("replay with VELAFS_SEED=", seed);
  Damager damager(seed);
  for (unsigned long step = 0; step < Steps(20'000); ++step) {
    INFO("VELAFS_SEED=", seed, " step ", step);
    chunk::HeaderBytes pack = chunk::EncodePackHeader(PackId(7));
    chunk::HeaderBytes record = chunk::EncodeRecordHeader(
        {{}, Codec::kNone, static_cast<uint32_t>(damager.Below(70'000)), 9});
    for (chunk::HeaderBytes* bytes : {&pack, &record}) {
      damager.Damage(*bytes);
      if (damager.Below(2) == 0) StoreCrc(*bytes);
    }
    const Status checked = chunk::CheckPackHeader(pack, PackId(7));
    CHECK((checked.ok() || checked.code() == Code::kCorrupt));
    const auto header = chunk::DecodeRecordHeader(record);
    if (header.ok()) {
      CHECK(header->raw_bytes >= 1);
      CHECK(header->raw_bytes <= kChunkBytes);
      CHECK(header->stored_bytes >= 1);
      CHECK(header->stored_bytes <= kChunkBytes);
    } else {
      CHECK(header.status().code() == Code::kCorrupt);
    }
  }
}

struct DamageFixture : StoreFixture {
  DamageFixture() {
    WriteHostFile(data + "/base/5/large", Noise(300'000, 3));
    fs::create_symlink("5", data + "/base/link");
    Import("main");
    CloneOptions options;
    options.labels = {{"key", "value"}};
    options.note = "note";
    REQUIRE(store->branches().Clone(caller, "main", "dev", options).ok());
    WriteInto("dev");
    REQUIRE(store->bookmarks().Create(caller, "dev@point", "note").ok());
    WriteInto("dev");
    REQUIRE(store->Close().ok());
    store.reset();
    fs::copy(root, sound, fs::copy_options::recursive);
  }

  void WriteInto(const std::string& name) {
    const auto branch = store->volume().Open(name);
    REQUIRE(branch.ok());
    const auto base = (*branch)->Lookup((*branch)->root(), "base");
    const auto directory = (*branch)->Lookup(base->ino, "5");
    const auto file = (*branch)->Lookup(directory->ino, "large");
    REQUIRE(file.ok());
    REQUIRE((*branch)->Write(file->ino, 9000, std::as_bytes(std::span("changed"))).ok());
    REQUIRE((*branch)
                ->Make(directory->ino, "made" + std::to_string(++made), {S_IFREG | 0600, 1, 1, 0})
                .ok());
  }

  // As it was, with fresh files: nothing else looks at it.
  void Restore() {
    store.reset();
    fs::remove_all(root);
    fs::copy(sound, root, fs::copy_options::recursive);
  }

  // Takes what a catalog never would.
  std::unique_ptr<sql::Database> UncheckedCatalog() {
    auto database = sql::Database::Open(root + "/catalog.db", 1000);
    REQUIRE(database.ok());
    REQUIRE(
        (*database)->Execute("PRAGMA ignore_check_constraints=ON; PRAGMA foreign_keys=OFF").ok());
    return *std::move(database);
  }

  static void Touch(layer::Branch& branch, InodeNumber ino, std::set<InodeNumber>* seen) {
    if (!seen->insert(ino).second || seen->size() > 1000) return;
    const auto attributes = branch.Get(ino);
    if (!attributes.ok()) return;
    std::vector<std::byte> bytes(100'000);
    const uint64_t size = attributes->size_bytes;
    for (const uint64_t at : {uint64_t{0}, uint64_t{150'000}, size / 2, size - 1}) {
      static_cast<void>(branch.Read(ino, at, bytes));
      static_cast<void>(branch.Seek(ino, at, true));
    }
    static_cast<void>(branch.ReadLink(ino));
    static_cast<void>(branch.Write(ino, size / 2, std::span(bytes).first(10)));
    std::vector<InodeNumber> inside;
    static_cast<void>(branch.List(
        ino, {}, [&](layer::DirectoryCookie, const std::string&, const layer::Attributes& child) {
          inside.push_back(child.ino);
          return true;
        }));
    for (const InodeNumber child : inside) Touch(branch, child, seen);
    static_cast<void>(branch.Sync(ino, os::SyncKind::kData));
  }

  // Everything a user might do with it. Of a store without damage all of it succeeds.
  void UseAll() {
    failures.clear();
    auto opened = Store::Open(root);
    if (!opened.ok()) {
      failures.push_back(opened.status().message());
      return;
    }
    store = *std::move(opened);
    Note(store->branches().List());
    Note(store->usage().Stats());
    Note(store->bookmarks().List({}));
    for (const char* name : {"main", "dev"}) {
      Note(store->branches().Show(name));
      const auto branch = store->volume().Open(name);
      if (!branch.ok()) continue;
      std::set<InodeNumber> seen;
      Touch(**branch, (*branch)->root(), &seen);
    }
    Note(store->branches().Clone(caller, "dev", "new", {}));
    Note(store->branches().Clone(caller, "dev@point", "newer", {}));
    Note(store->imports().Import(caller, "again", data, nullptr));
    Note(store->states().Diff("main", "dev"));
    Note(store->states().Diff("dev@point", "dev"));
    Note(store->states().Export(
        caller, "dev", [](std::span<const std::byte>) { return Status(); }, nullptr));
    Note(store->replacing().Promote(caller, "new", "dev", false));
    Note(store->replacing().Reset(caller, "newer", {}, {}));
    Note(store->trash().Delete(caller, "newer", {.force = true}));
    Note(store->trash().List());
    Note(store->trash().Undelete(caller, "newer", {}));
    Note(store->bookmarks().Delete(caller, "dev@point"));
    Note(store->upkeep().Expire(caller, false));
    Note(store->upkeep().Seal(caller, std::chrono::seconds(0), [] { return true; }));
    Note(store::ScrubOpenStore(store->context(), {}, nullptr));
    Note(store->upkeep().CollectGarbage(caller, false, nullptr));
    Note(store->trash().Delete(caller, "dev", {.force = true, .purge = true}));
    Note(store::ScrubOpenStore(store->context(), {.repair = true}, nullptr));
    Note(store->Close());
    store.reset();
  }

  void Note(const Status& status) {
    if (!status.ok()) failures.push_back(status.message());
  }
  template <typename T>
  void Note(const Result<T>& result) {
    Note(result.status());
  }

  const std::string sound = scratch / "sound";
  int made = 0;
  std::vector<std::string> failures;
};

TEST_CASE_FIXTURE(DamageFixture, "all that is tried on damaged stores works on a sound one") {
  UseAll();
  CHECK(failures == std::vector<std::string>{});
}

TEST_CASE_FIXTURE(DamageFixture, "a store with damaged files is used without a crash") {
  const unsigned seed = Seed();
  const unsigned long steps = Steps(40);
  MESSAGE("replay with VELAFS_SEED=", seed, " VELAFS_STEPS=", steps);
  Damager damager(seed);
  for (unsigned long step = 0; step < steps; ++step) {
    INFO("VELAFS_SEED=", seed, " step ", step);
    Restore();
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (fs::is_regular_file(entry.path()) && fs::file_size(entry.path()) > 0) {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    const std::string file =
        damager.Below(2) == 0 ? root + "/catalog.db" : files[damager.Below(files.size())].string();
    std::string content = ReadHostFile(file);
    damager.Damage(std::as_writable_bytes(std::span(content)));
    if (damager.Below(10) == 0) content.resize(damager.Below(content.size() + 1));
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
    UseAll();
  }
}

TEST_CASE_FIXTURE(DamageFixture, "a layer that something stands on, but is not there, is named") {
  for (const char* sql : {"UPDATE bookmarks SET layer = 0", "UPDATE bookmarks SET layer = 1000",
                          "DELETE FROM layers WHERE parent IS NULL",
                          "UPDATE branches SET head = 1000 WHERE name = 'dev'"}) {
    INFO(std::string(sql));
    Restore();
    REQUIRE(UncheckedCatalog()->Execute(sql).ok());
    Reopen();
    CheckMessage(store->branches().List().status(), "is not in the catalog");
  }
}

TEST_CASE_FIXTURE(DamageFixture, "a directory that is in itself is not exported for ever") {
  Restore();
  REQUIRE(UncheckedCatalog()
              ->Execute("UPDATE names SET ino = directory WHERE name = CAST('large' AS BLOB)")
              .ok());
  Reopen();
  const auto exported = store->states().Export(
      caller, "dev", [](std::span<const std::byte>) { return Status(); }, nullptr);
  CHECK(exported.status().code() == Code::kCorrupt);
  CheckMessage(exported.status(), "\"base/5/large\" is the same directory as \"base/5\"");
}

// Rows that SQLite takes for sound.
TEST_CASE_FIXTURE(DamageFixture, "a store whose catalog says nonsense is used without a crash") {
  const unsigned seed = Seed();
  const unsigned long steps = Steps(40);
  MESSAGE("replay with VELAFS_SEED=", seed, " VELAFS_STEPS=", steps);
  Damager damager(seed);
  const char* const columns[] = {
      "layers.parent",       "layers.state",        "layers.logical_bytes", "layers.is_settled",
      "layers.stored_bytes", "inodes.ino",          "inodes.layer",         "inodes.mode",
      "inodes.nlink",        "inodes.size_bytes",   "inodes.rdev",          "inodes.target",
      "inodes.born_here",    "names.directory",     "names.name",           "names.ino",
      "names.layer",         "manifests.part",      "manifests.chunks",     "manifests.ino",
      "chunks.pack",         "chunks.offset_bytes", "chunks.stored_bytes",  "chunks.raw_bytes",
      "chunks.codec",        "packs.published",     "branches.instance",    "branches.name",
      "branches.head",       "branches.root",       "branches.owner",       "branches.expires_at",
      "branches.port",       "labels.key",          "bookmarks.name",       "bookmarks.layer",
      "sequences.next",
  };
  for (unsigned long step = 0; step < steps; ++step) {
    INFO("VELAFS_SEED=", seed, " step ", step);
    Restore();
    {
      const auto database = UncheckedCatalog();
      // For random() and randomblob() below to be the seed's, too.
      sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED,
                           static_cast<int>(1 + damager.Below(1'000'000)), nullptr);
      for (size_t i = 0, count = 1 + damager.Below(3); i < count; ++i) {
        const std::string place = columns[damager.Below(std::size(columns))];
        const size_t dot = place.find('.');
        const std::string table = place.substr(0, dot);
        std::string value = std::to_string(damager.Number() >> 1);
        if (damager.Below(3) == 0) value = std::to_string(damager.Below(20));
        if (damager.Below(4) == 0) value = "-" + value;
        if (damager.Below(5) == 0) value = "NULL";
        if (damager.Below(2) == 0) {
          value = "randomblob(" + std::to_string(damager.Below(200)) + ")";
          if (damager.Below(2) == 0) value = "CAST(" + value + " AS TEXT)";
        }
        // What the column's type or uniqueness forbids cannot come about, and is left.
        static_cast<void>(
            database->Execute("UPDATE " + table + " SET " + place.substr(dot + 1) + " = " + value +
                              " WHERE " + (damager.Below(4) == 0 ? "1" : "abs(random()) % 4 = 0")));
      }
      static_cast<void>(database->Checkpoint());
    }
    UseAll();
  }
}

}  // namespace
}  // namespace velafs::store
