// The user's verbs on a disk that loses power, or fails, at any of its changes.
#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <vector>

#include "tests/os/volatile_storage.h"
#include "tests/random.h"
#include "tests/sql/storage_vfs.h"
#include "tests/store/store_fixture.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/import/member_stream.h"
#include "velafs/store/replace_verbs.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

constexpr TimeNs kHour = 3'600'000'000'000;
constexpr TimeNs kScheduledAt = 1'800'000'000'000'000'000;

// All that a user sees of a store: branches with their trees, and bookmarks. Empty: no store.
using Sight = std::map<std::string, Tree>;

// A store on a disk in memory; only its run/ directory is the host's.
class Scene {
 public:
  explicit Scene(unsigned seed) : disk_(seed), sqlite_(root_, disk_) {
    disk_.MakeDurableDirectories(scratch_.path());
    fs::create_directories(root_ + "/run");
    WriteHostFile(data_ + "/PG_VERSION", "15\n");
    WriteHostFile(data_ + "/global/pg_control", Noise(8192, 1));
    WriteHostFile(data_ + "/base/5/1259", Noise(200'000, 2));
    WriteHostFile(data_ + "/base/5/2600", Noise(100'000, 3));
    // Shares one file with the other.
    WriteHostFile(similar_ + "/PG_VERSION", "15\n");
    WriteHostFile(similar_ + "/global/pg_control", Noise(8192, 4));
    WriteHostFile(similar_ + "/base/5/1259", Noise(200'000, 2));
    // So that two scenes can be compared.
    for (const std::string& directory : {data_, similar_}) {
      for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        fs::last_write_time(entry.path(), 1'000'000'000);
      }
    }
  }

  // Of a PGDATA with WAL, which is stored last.
  static ReadFn ArchiveReader() {
    std::string stream;
    MemberWriter writer([&stream](std::span<const std::byte> bytes) -> Status {
      stream.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return {};
    });
    const auto put = [&writer](Member::Kind kind, const char* path, const std::string& content) {
      REQUIRE(writer.Put({kind, path, "", 0700, 5, 6, 7, content.size()}).ok());
      REQUIRE(writer.PutBlock({0, std::as_bytes(std::span(content))}).ok());
    };
    for (const char* path : {"./", "base", "base/5", "global", "pg_wal"}) {
      put(Member::Kind::kDirectory, path, "");
    }
    put(Member::Kind::kFile, "PG_VERSION", "15\n");
    put(Member::Kind::kFile, "global/pg_control", Noise(8192, 5));
    put(Member::Kind::kFile, "base/5/1259", Noise(150'000, 6));
    put(Member::Kind::kFile, "pg_wal/000000010000000000000001", Noise(100'000, 7));
    REQUIRE(writer.End({}).ok());
    return [stream, at = size_t{0}](std::span<std::byte> into) mutable -> Result<size_t> {
      const size_t count = std::min(into.size(), stream.size() - at);
      std::ranges::copy(std::as_bytes(std::span(stream)).subspan(at, count), into.begin());
      at += count;
      return count;
    };
  }

  using Verb = std::function<Status()>;
  std::vector<Verb> Verbs() {
    const auto clone = [this](const char* source, const char* name) {
      return [=, this] { return store_->branches().Clone(caller_, source, name, {}).status(); };
    };
    const auto import = [this](const char* name, const std::string& directory) {
      return [=, this] {
        return store_->imports().Import(caller_, name, directory, nullptr).status();
      };
    };
    const auto import_archive = [this](const char* name) {
      return [=, this] {
        return store_->imports()
            .ImportArchive(caller_, name, "a.tar", ArchiveReader(), nullptr)
            .status();
      };
    };
    const auto collect = [this] {
      return store_->upkeep().CollectGarbage(caller_, false, nullptr).status();
    };
    const auto purge = [this](const char* name) {
      return [=, this] {
        return store_->trash()
            .Delete(caller_, name, {.force = false, .purge = true, .dry_run = false})
            .status();
      };
    };
    const auto unprotect = [this](const char* name) {
      return [=, this] { return store_->branches().Unprotect(caller_, name).status(); };
    };
    const auto trash = [this](const char* name) {
      return [=, this] { return store_->trash().Delete(caller_, name, {}).status(); };
    };
    const auto bookmark = [this](const char* name) {
      return [=, this] { return store_->bookmarks().Create(caller_, name, "").status(); };
    };
    const auto expire = [this](const char* name) {
      return [=, this]() -> Status {
        VELAFS_ASSIGN(const Expired expired,
                      store_->upkeep().Expire(caller_, false, NowNs() + kHour));
        return expired.saved == std::vector<std::string>{name} ? Status() : Failed("not expired");
      };
    };
    const auto keep_schedules = [this]() -> Status {
      VELAFS_ASSIGN(const Schedule done, store_->bookmarks().RunSchedules(caller_, kScheduledAt));
      return done.failure;
    };
    const auto merge = [this]() -> Status {
      VELAFS_ASSIGN(const auto freed, store_->upkeep().MergeLayers([] { return true; }));
      if (freed) ++merges_;
      return {};
    };
    const auto seal = [this]() -> Status {
      VELAFS_ASSIGN(const auto sealed, store_->upkeep().SealLayer(NowNs(), UpkeepVerbs::Pace::kFull,
                                                                  [] { return true; }));
      if (sealed) ++seals_;
      return {};
    };
    const auto policy = [this](const char* branch, const char* key, const char* value) {
      return [=, this] {
        return store_->governance()
            .SetPolicies(catalog::SettingScope::kBranch, branch, {{key, value}})
            .status();
      };
    };
    const auto clone_ephemeral = [this] {
      CloneOptions options;
      options.is_ephemeral = true;
      return store_->branches().Clone(caller_, "main", "test", options).status();
    };
    // With what no fsync has made durable.
    const auto freeze_ephemeral = [this]() -> Status {
      VELAFS_TRY(WriteDurably("test", "PG_VERSION", "99\n"));
      VELAFS_TRY(WriteDurably("test", "new", "to be lost"));
      return store_->bookmarks().Create(caller_, "test@point", "").status();
    };
    const auto empty_trash = [this] { return store_->trash().Purge(caller_, {}, false).status(); };
    return {[this] { return MakeStore(); },
            import("main", data_),
            clone_ephemeral,
            freeze_ephemeral,
            purge("test"),
            clone("main", "brief"),
            [this] { return WriteDurably("brief", "new", "short"); },
            purge("brief"),
            clone("main", "dev"),
            [this] { return WriteDurably("dev", "PG_VERSION", "16\n"); },
            bookmark("dev@before"),
            [this] { return WriteDurably("dev", "PG_VERSION", "17\n"); },
            clone("dev@before", "fork"),
            [this] { return WriteDurably("fork", "new", "fresh"); },
            [this] { return store_->replacing().Promote(caller_, "fork", "dev", false).status(); },
            [this] {
              return store_->replacing().Reset(caller_, "fork", {}, {.keep_state = false}).status();
            },
            [this] { return store_->branches().Rename(caller_, "fork", "spoon").status(); },
            [this] { return WriteDurably("spoon", "new", "again"); },
            bookmark("spoon@full"),
            [this] { return store_->replacing().Reset(caller_, "spoon", "main", {}).status(); },
            trash("spoon"),
            [this] { return store_->trash().Undelete(caller_, "spoon", "knife").status(); },
            [this] { return store_->bookmarks().Delete(caller_, "knife@full"); },
            [this] { return store_->bookmarks().Delete(caller_, "dev@before"); },
            bookmark("dev@first"),
            [this] { return WriteDurably("dev", "PG_VERSION", "18\n"); },
            [this] { return WriteDurably("dev", "new", "fused"); },
            bookmark("dev@second"),
            [this] { return store_->bookmarks().Delete(caller_, "dev@first"); },
            seal,
            merge,
            seal,
            [this] { return store_->bookmarks().Delete(caller_, "dev@second"); },
            policy("dev", "bookmark_every", "1h"),
            keep_schedules,
            [this] { return WriteDurably("knife", "new", "last"); },
            policy("knife", "on_expire", "bookmark"),
            [this] {
              return store_->branches().SetTtl(caller_, "knife", std::chrono::minutes(1)).status();
            },
            expire("dev@expired-knife"),
            [this] { return store_->trash().Undelete(caller_, "knife", {}).status(); },
            seal,
            trash("knife"),
            empty_trash,
            trash("dev"),
            empty_trash,
            import("again", similar_),
            import_archive("archived"),
            unprotect("archived"),
            purge("archived"),
            unprotect("main"),
            purge("main"),
            collect,  // what "again" uses of the first pack moves
            unprotect("again"),
            purge("again"),
            collect};
  }

  Status OpenIfAny() {
    auto opened = Store::Open(root_, disk_);
    if (opened.status().code() == Code::kNotFound) return {};
    VELAFS_ASSIGN(store_, std::move(opened));
    return {};
  }
  void CutPower() {
    disk_.CutOff();
    store_.reset();
    disk_.PowerOn();
    const Status opened = OpenIfAny();
    REQUIRE_MESSAGE(opened.ok(), opened.message());
  }

  Sight See() {
    Sight sight;
    if (store_ == nullptr) return sight;
    sight["(a store)"];
    const auto names = store_->branches().Names();
    REQUIRE(names.ok());
    for (const std::string& name : *names) {
      sight[name] = TreeOfBranch(store_->volume(), name);
      // Written in the test: their times are of the run.
      sight[name].erase("");
      for (const char* file : {"PG_VERSION", "new"}) {
        if (sight[name].contains(file)) sight[name][file] = TextOf(name, file);
      }
    }
    const auto bookmarks = store_->bookmarks().List({});
    REQUIRE(bookmarks.ok());
    for (const BookmarkInfo& bookmark : *bookmarks) sight[bookmark.name];
    const auto trash = store_->trash().List();
    REQUIRE(trash.ok());
    for (const BranchInfo& branch : *trash) sight["(trash) " + branch.name];
    return sight;
  }

  // Nothing is on disk that no branch or bookmark needs.
  void CheckHasNoGarbage() {
    if (store_ == nullptr) return;
    const auto stats = store_->usage().Stats();
    REQUIRE(stats.ok());
    const auto layers = disk_.List(root_ + "/layers");
    REQUIRE(layers.ok());
    // A deleted branch may have two bookmarks.
    CHECK(layers->size() <= 2 * (stats->branches + stats->bookmarks) + 4 * stats->trashed);
  }

  // After the last verb.
  void CheckHasNoPacks() {
    const auto packs = disk_.List(root_ + "/packs");
    REQUIRE(packs.ok());
    CHECK(packs->empty());
  }

  VolatileStorage& disk() { return disk_; }
  int merges() const { return merges_; }
  int seals() const { return seals_; }

 private:
  Status MakeStore() {
    VELAFS_TRY(Store::Init(root_, disk_));
    return OpenIfAny();
  }

  Status WriteDurably(const std::string& branch, const std::string& name, const std::string& text) {
    VELAFS_ASSIGN(const auto open, store_->volume().Open(branch));
    auto file = open->Lookup(open->root(), name);
    if (!file.ok()) file = open->Make(open->root(), name, {.mode = S_IFREG | 0600});
    VELAFS_TRY(file.status());
    VELAFS_TRY(open->Write(file->ino, 0, std::as_bytes(std::span(text))));
    return open->Sync(file->ino, os::SyncKind::kData);
  }

  std::string TextOf(const std::string& branch, const std::string& name) {
    const auto open = store_->volume().Open(branch);
    REQUIRE(open.ok());
    const auto file = (*open)->Lookup((*open)->root(), name);
    REQUIRE(file.ok());
    std::string text(file->size_bytes, '?');
    REQUIRE((*open)->Read(file->ino, 0, std::as_writable_bytes(std::span(text))).ok());
    return text;
  }

  ScratchDirectory scratch_;
  const std::string root_ = scratch_ / "store";
  const std::string data_ = scratch_ / "pgdata";
  const std::string similar_ = scratch_ / "similar";
  const Caller caller_{getuid(), "tester"};
  VolatileStorage disk_;
  StorageForSqlite sqlite_;
  std::unique_ptr<Store> store_;
  int merges_ = 0;
  int seals_ = 0;
};

// What is to be seen before any verb, after the first, and so on.
std::vector<Sight> Expected() {
  Scene scene(0);
  std::vector<Sight> sights = {scene.See()};
  for (const Scene::Verb& verb : scene.Verbs()) {
    const Status done = verb();
    REQUIRE_MESSAGE(done.ok(), done.message());
    sights.push_back(scene.See());
  }
  CHECK(scene.merges() > 0);
  CHECK(scene.seals() > 0);
  return sights;
}

// Runs the verbs until the disk fails one of them; its number.
size_t RunUntilFailure(const std::vector<Scene::Verb>& verbs, Status* failure) {
  for (size_t i = 0; i < verbs.size(); ++i) {
    *failure = verbs[i]();
    if (!failure->ok()) return i;
  }
  return verbs.size();
}

// A write that was cut off may have left any part of itself.
bool IsInBetween(const Sight& seen, const Sight& before, const Sight& after) {
  if (seen == before || seen == after) return true;
  if (before.contains("test") && after.contains("test")) {
    Sight frozen = before;  // an ephemeral branch may be, though the bookmark of it is not made
    frozen["test"] = after.at("test");
    if (seen == frozen) return true;
  }
  Sight rest = seen;
  for (auto& [branch, tree] : rest) {
    const auto known = before.find(branch);
    if (known == before.end() || !after.contains(branch)) continue;
    for (const char* file : {"PG_VERSION", "new"}) {
      if (!known->second.contains(file) && tree.contains(file) && tree[file].empty())
        tree.erase(file);  // made, not yet written
    }
  }
  return rest == before;
}

// One run tries every so many-th change of the disk, another run others; VELAFS_STRIDE=1 tries all.
uint64_t Stride() { return FromEnvironment("VELAFS_STRIDE", 3); }

TEST_CASE("a power cut at any change of the disk leaves a verb done or not begun") {
  const std::vector<Sight> expected = Expected();
  const unsigned seed = Seed();
  MESSAGE("replay with VELAFS_SEED=", seed);
  const uint64_t stride = Stride();
  uint64_t cuts = seed % stride;
  for (bool was_cut = true; was_cut; cuts += stride) {
    INFO("cut after ", cuts, " changes");
    Scene scene(seed);
    const auto verbs = scene.Verbs();
    scene.disk().CutAfter(cuts);
    Status failure;
    const size_t done = RunUntilFailure(verbs, &failure);
    was_cut = scene.disk().is_off();
    REQUIRE_MESSAGE((failure.ok() || was_cut), failure.message());
    scene.CutPower();
    const Sight seen = scene.See();
    if (done == verbs.size()) {
      CHECK(seen == expected[done]);
      continue;
    }
    REQUIRE(IsInBetween(seen, expected[done], expected[done + 1]));
    scene.CheckHasNoGarbage();
    // And all that was still to come can be done.
    const bool is_done = seen == expected[done + 1] && expected[done] != expected[done + 1];
    for (size_t i = is_done ? done + 1 : done; i < verbs.size(); ++i) {
      const Status later = verbs[i]();
      REQUIRE_MESSAGE(later.ok(), later.message());
    }
    CHECK(scene.See() == expected.back());
    scene.CheckHasNoPacks();
  }
  MESSAGE("power cuts: ", cuts / stride);
}

void CheckFailuresWith(int error_number) {
  const std::vector<Sight> expected = Expected();
  const unsigned seed = Seed();
  MESSAGE("replay with VELAFS_SEED=", seed);
  const uint64_t stride = Stride();
  uint64_t failures = seed % stride;
  for (bool was_struck = true; was_struck; failures += stride) {
    INFO("errno ", error_number, " after ", failures, " changes");
    Scene scene(seed);
    const auto verbs = scene.Verbs();
    scene.disk().FailAfter(failures, error_number);
    Status failure;
    const size_t done = RunUntilFailure(verbs, &failure);
    was_struck = !scene.disk().CancelFailure();
    if (!was_struck) REQUIRE_MESSAGE(failure.ok(), failure.message());
    // What nobody was told of may have failed: the removal of what is in no one's way.
    const size_t next = std::min(done + 1, verbs.size());
    Sight live = scene.See();
    if (!IsInBetween(live, expected[done], expected[next]) && live.contains("test")) {
      live["test"] = expected[done].at("test");  // written, and not frozen
    }
    CHECK(IsInBetween(live, expected[done], expected[next]));
    scene.CutPower();
    const Sight seen = scene.See();
    REQUIRE(IsInBetween(seen, expected[done], expected[next]));
    scene.CheckHasNoGarbage();
    const bool is_done = seen == expected[next] && expected[done] != expected[next];
    for (size_t i = is_done ? next : done; i < verbs.size(); ++i) {
      const Status later = verbs[i]();
      REQUIRE_MESSAGE(later.ok(), later.message());
    }
    CHECK(scene.See() == expected.back());
    scene.CheckHasNoPacks();
  }
  MESSAGE("failures: ", failures / stride);
}

TEST_CASE("a full disk at any change leaves a verb done or not begun") {
  CheckFailuresWith(ENOSPC);
}

TEST_CASE("a failing disk at any change leaves a verb done or not begun") {
  CheckFailuresWith(EIO);
}

}  // namespace
}  // namespace velafs::store
