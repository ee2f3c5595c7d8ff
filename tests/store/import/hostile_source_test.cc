// Sources that somebody has prepared, or changes meanwhile, to make the daemon read, wait for, or
// store what it should not.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/store/store_fixture.h"
#include "velafs/catalog/observer.h"
#include "velafs/os/acting_as.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/import/source.h"
#include "velafs/store/import/source_open.h"

namespace velafs::store {
namespace {

using namespace test;

constexpr uint32_t kNobody = 65534;

ImportOptions ReadAs(const std::string& user) {
  ImportOptions options;
  options.read_as = user;
  return options;
}

// The store of a daemon of root's, which acts for others. Only root can be that: others see to what
// their own rights are in refusal_test.cc.
struct RootFixture : StoreFixture {
  RootFixture() {
    if (!is_root) MESSAGE("left out: these cases need root");
    fs::permissions(scratch.path(), fs::perms(0755));
    WriteHostFile(secret, "secret\n");
    fs::permissions(secret, fs::perms(0600));
  }
  Result<ImportResult> ImportAs(uint32_t uid, std::vector<uint32_t> groups = {}) {
    return store->imports().Import({uid, "somebody", uid, std::move(groups)}, "main", data, nullptr,
                                   options);
  }
  void CheckRefusedAs(uint32_t uid, const std::string& words) {
    const auto result = ImportAs(uid);
    REQUIRE_FALSE(result.ok());
    CHECK(result.status().code() == Code::kRefused);
    CheckMessage(result.status(), words);
    CheckIsEmpty();
  }

  const bool is_root = geteuid() == 0;
  const std::string secret = scratch / "outside/secret";
};

TEST_CASE_FIXTURE(RootFixture, "a caller imports what he may read, and leaves the daemon root") {
  if (!is_root) return;
  const auto result = ImportAs(kNobody);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  const std::string only_root = scratch / "only-root";
  WriteHostFile(only_root, "x");
  fs::permissions(only_root, fs::no_perms);
  CHECK(OpenWithoutLinks(only_root, O_RDONLY));
}

TEST_CASE_FIXTURE(RootFixture, "a caller cannot import what only the daemon may read") {
  if (!is_root) return;
  SUBCASE("a file of root's") {
    fs::permissions(data + "/base/5/1259", fs::perms(0600));
    CheckRefusedAs(kNobody, "\"" + data + "/base/5/1259\" cannot be read");
  }
  SUBCASE("a directory of root's") {
    fs::permissions(data + "/base/5", fs::perms(0700));
    CheckRefusedAs(kNobody, "\"" + data + "/base/5\" cannot be read");
  }
  SUBCASE("a link to a file of root's") {
    fs::create_symlink(secret, data + "/base/link");
    CheckRefusedAs(kNobody, "\"" + secret + "\" cannot be read");
  }
  SUBCASE("a link into a directory of root's") {
    fs::permissions(scratch / "outside", fs::perms(0700));
    fs::create_symlink(scratch / "outside", data + "/pg_wal");
    CheckRefusedAs(kNobody, "cannot be read");
  }
  SUBCASE("a file of a group that is not his") {
    REQUIRE(chown((data + "/base/5/1259").c_str(), 0, 4242) == 0);
    fs::permissions(data + "/base/5/1259", fs::perms(0640));
    CheckRefusedAs(kNobody, "\"" + data + "/base/5/1259\" cannot be read");
    CHECK(ImportAs(kNobody, {4242}).ok());
  }
}

TEST_CASE_FIXTURE(RootFixture, "root imports with the rights of the user who owns the directory") {
  if (!is_root) return;
  std::string named = secret;
  SUBCASE("a link to a file of root's") { fs::create_symlink(secret, data + "/base/link"); }
  SUBCASE("a configuration file that is such a link") {
    fs::create_symlink(secret, data + "/postgresql.auto.conf");
  }
  SUBCASE("a hard link to a file of root's") {
    named = data + "/base/hard";
    fs::create_hard_link(secret, named);
  }
  SUBCASE("a tablespace in a directory of root's") {
    named = data + "/pg_tblspc/16400";
    fs::create_directories(scratch / "outside/closed/PG_15");
    fs::permissions(scratch / "outside/closed", fs::perms(0700));
    fs::create_directories(data + "/pg_tblspc");
    fs::create_symlink(scratch / "outside/closed/PG_15", named);
  }
  REQUIRE(lchown(data.c_str(), kNobody, kNobody) == 0);
  const auto result = ImportAs(0);
  REQUIRE_FALSE(result.ok());
  CHECK(result.status().code() == Code::kRefused);
  CheckMessage(result.status(), "\"" + named + "\"");
  CheckMessage(result.status(), "cannot be read");
  CHECK(result.status().hint().find("rights of \"nobody\"") != std::string::npos);
  CHECK(result.status().hint().find("--read-as root") != std::string::npos);
  CheckIsEmpty();

  CHECK(store->imports()
            .Import({0, "root"}, "main", data, nullptr, ReadAs("65534"))
            .status()
            .code() == Code::kRefused);
  const auto allowed = store->imports().Import({0, "root"}, "main", data, nullptr, ReadAs("root"));
  CHECK_MESSAGE(allowed.ok(), allowed.status().message());
}

// The data is root's, or that of the one whose configuration it is not.
TEST_CASE_FIXTURE(RootFixture, "a configuration is read with the rights of its own owner") {
  if (!is_root) return;
  fs::remove(data + "/postgresql.conf");
  options.config_dir = scratch / "conf";
  const std::string config = options.config_dir + "/postgresql.conf";
  SUBCASE("a link of its owner's to a file of root's") {
    fs::create_directory(options.config_dir);
    fs::create_symlink(secret, config);
    REQUIRE(lchown(options.config_dir.c_str(), kNobody, kNobody) == 0);
    const auto result = ImportAs(0);
    REQUIRE_FALSE(result.ok());
    CheckMessage(result.status(), "postgresql.conf\" cannot be read");
    CHECK(result.status().hint() ==
          "it is read with the rights of \"nobody\", who owns the directory of the configuration");
    CheckIsEmpty();
    options.read_as = "root";
    CHECK(ImportAs(0).ok());
  }
  SUBCASE("a link of another's that leads to it") {
    WriteHostFile(scratch / "real/postgresql.conf", "a = 1");
    fs::create_symlink("real", options.config_dir);
    REQUIRE(lchown(options.config_dir.c_str(), kNobody, kNobody) == 0);
    const auto result = ImportAs(0);
    REQUIRE_FALSE(result.ok());
    CheckMessage(result.status(), "conf\" is a link that belongs to \"nobody\"");
  }
  SUBCASE("a file that only its owner may read, for the data of another") {
    WriteHostFile(config, "a = 1");
    fs::permissions(config, fs::perms(0600));
    REQUIRE(lchown(data.c_str(), kNobody, kNobody) == 0);
    const auto result = ImportAs(0);
    CHECK_MESSAGE(result.ok(), result.status().message());
  }
}

TEST_CASE_FIXTURE(StoreFixture, "what is below an open directory is opened with all its rights") {
  WriteHostFile(scratch / "dir/file", "own");
  fs::create_symlink("file", scratch / "dir/link");
  fs::create_symlink("/proc/self/fd/0", scratch / "dir/magic");
  const os::UniqueFd directory(open((scratch / "dir").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(directory);
  fs::rename(scratch / "dir", scratch / "moved");
  CHECK(OpenBelow(directory.get(), "file", O_RDONLY));
  CHECK(OpenBelow(directory.get(), "link", O_RDONLY));
  const bool is_open = static_cast<bool>(OpenBelow(directory.get(), "magic", O_RDONLY));
  CHECK((!is_open && errno == ELOOP));
}

TEST_CASE_FIXTURE(RootFixture, "root's rights are for what only root could have put there") {
  if (!is_root) return;
  fs::create_symlink(secret, data + "/base/link");
  SUBCASE("of a directory of root's that others may write to") {
    fs::permissions(data, fs::perms(01777));
    const auto result = ImportAs(0);
    REQUIRE_FALSE(result.ok());
    CheckMessage(result.status(), "it belongs to root, but others may write to it");
  }
  SUBCASE("of a directory of root's with a cluster of another's") {
    REQUIRE(lchown((data + "/PG_VERSION").c_str(), kNobody, kNobody) == 0);
    const auto result = ImportAs(0);
    REQUIRE_FALSE(result.ok());
    CheckMessage(result.status(), "\"" + secret + "\" cannot be read");
  }
  SUBCASE("by a link of another's") {
    const std::string moved = scratch / "moved";
    fs::rename(data, moved);
    fs::create_symlink(moved, scratch / "link");
    fs::create_symlink("link", data);
    REQUIRE(lchown((scratch / "link").c_str(), kNobody, kNobody) == 0);
    const auto result = ImportAs(0);
    REQUIRE_FALSE(result.ok());
    CheckMessage(result.status(), "link\" is a link that belongs to \"nobody\"");
    REQUIRE(lchown((scratch / "link").c_str(), 0, 0) == 0);
    const auto allowed = ImportAs(0);
    CHECK_MESSAGE(allowed.ok(), allowed.status().message());
    return;
  }
  CheckIsEmpty();
}

TEST_CASE_FIXTURE(RootFixture, "root imports what the user who owns it may read") {
  if (!is_root) return;
  fs::permissions(data + "/base/5/1259", fs::perms(0600));
  REQUIRE(lchown((data + "/base/5/1259").c_str(), kNobody, kNobody) == 0);
  REQUIRE(lchown(data.c_str(), kNobody, kNobody) == 0);
  const auto result = ImportAs(0);
  CHECK_MESSAGE(result.ok(), result.status().message());
}

TEST_CASE_FIXTURE(RootFixture, "who is not root reads with no rights but his own") {
  if (!is_root) return;
  const auto result =
      store->imports().Import({kNobody, "nobody", kNobody}, "main", data, nullptr, ReadAs("root"));
  REQUIRE_FALSE(result.ok());
  CheckMessage(result.status(), "only root can read with the rights of another user");
  CHECK(store->imports()
            .Import({kNobody, "nobody", kNobody}, "main", data, nullptr, ReadAs("nobody"))
            .ok());
}

TEST_CASE_FIXTURE(RootFixture, "a directory that becomes a link to another's is not followed") {
  if (!is_root) return;
  // What is found is of the same name, size and time as the secret: only its place differs.
  WriteHostFile(data + "/base/d/secret", "public\n");
  const auto source = FindSource(data, root, {kNobody, kNobody});
  REQUIRE_MESSAGE(source.ok(), source.status().message());
  uint32_t entry = 0;
  while (source->entries[entry].name != "secret") ++entry;
  CHECK(source->Open(entry).ok());

  fs::remove_all(data + "/base/d");
  fs::create_symlink(scratch / "outside", data + "/base/d");
  const auto opened = source->Open(entry);
  REQUIRE_FALSE(opened.ok());
  CheckMessage(opened.status(), "changed while it was read");
  CHECK_FALSE(OpenWithoutLinks(data + "/base/d/secret", O_RDONLY));
  CHECK_FALSE(source->CheckAllUnchanged().ok());
}

// Even one that the path leads to without any link.
TEST_CASE_FIXTURE(RootFixture, "a file put in another's place is read with the caller's rights") {
  if (!is_root) return;
  const auto source = FindSource(data, root, {kNobody, kNobody});
  REQUIRE(source.ok());
  uint32_t entry = 0;
  while (source->entries[entry].name != "1259") ++entry;
  fs::permissions(data + "/base/5/1259", fs::perms(0600));
  CHECK(source->Open(entry).status().error_number() == EACCES);
}

TEST_CASE_FIXTURE(StoreFixture, "who is not root cannot act for another") {
  if (geteuid() == 0) REQUIRE(seteuid(kNobody) == 0);
  const auto source = FindSource(data, root, {geteuid() + 1, getegid()});
  if (getuid() == 0) REQUIRE(seteuid(0) == 0);
  REQUIRE_FALSE(source.ok());
  CHECK(source.status().code() == Code::kRefused);
}

TEST_CASE_FIXTURE(StoreFixture,
                  "a source that changes while it is read fails, and leaves nothing") {
  const std::string file = data + "/base/5/1259";
  std::function<void()> change;
  SUBCASE("it grows") {
    change = [&] { std::ofstream(file, std::ios::app) << "more"; };
  }
  SUBCASE("it shrinks") {
    change = [&] { fs::resize_file(file, 100'000); };
  }
  SUBCASE("it vanishes") {
    change = [&] { fs::remove(file); };
  }
  SUBCASE("its directory vanishes") {
    change = [&] { fs::remove_all(data + "/base"); };
  }
  SUBCASE("its directory becomes a link") {
    change = [&] {
      fs::rename(data + "/base", scratch / "moved");
      fs::create_symlink(scratch / "moved", data + "/base");
    };
  }
  SUBCASE("it becomes a FIFO") {
    change = [&] {
      fs::remove(file);
      REQUIRE(mkfifo(file.c_str(), 0600) == 0);
    };
  }
  const auto result = store->imports().Import(caller, "main", data, [&](const ImportProgress&) {
    if (change) std::exchange(change, nullptr)();
    return true;
  });
  REQUIRE_FALSE(result.ok());
  CheckMessage(result.status(), "changed while it was read");
  CheckIsEmpty();
}

TEST_CASE_FIXTURE(StoreFixture, "a postmaster.pid that is no file is not waited for") {
  REQUIRE(mkfifo((data + "/postmaster.pid").c_str(), 0600) == 0);
  Import("main");
  CHECK_FALSE(BranchTree("main").contains("postmaster.pid"));
}

TEST_CASE_FIXTURE(StoreFixture, "devices are refused by name") {
  if (geteuid() != 0) return;
  REQUIRE(mknod((data + "/base/zero").c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0);
  CheckMessage(ImportFailure(), "\"" + data + "/base/zero\" is a device");
}

TEST_CASE_FIXTURE(StoreFixture, "a file of holes costs neither time nor space, however large") {
  constexpr uint64_t kLarge = uint64_t{1} << 43;  // 8 TiB
  const std::string file = data + "/base/5/16384";
  WriteHostFile(file, "begin");
  {
    const os::UniqueFd fd(open(file.c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(pwrite(fd.get(), "middle", 6, kLarge / 2) == 6);
    REQUIRE(ftruncate(fd.get(), kLarge) == 0);
  }
  fs::create_hard_link(file, data + "/base/5/16384_other");
  ImportProgress last;
  const auto imported =
      store->imports().Import(caller, "main", data, [&last](const ImportProgress& now) {
        last = now;
        return true;
      });
  REQUIRE_MESSAGE(imported.ok(), imported.status().message());
  CHECK(imported->branch.logical_bytes > kLarge);
  CHECK(last.bytes_done == last.bytes_total);
  CHECK(last.files_done == last.files_total);
  CHECK(imported->bytes_stored < 1'000'000);
  const auto observer = catalog::Observer::Open(root + "/catalog.db");
  REQUIRE(observer.ok());
  CHECK((*observer)->FindDamage()->empty());
  CHECK(fs::file_size(root + "/catalog.db") < 10'000'000);

  const auto branch = store->volume().Open("main");
  REQUIRE(branch.ok());
  InodeNumber ino = (*branch)->root();
  for (const char* name : {"base", "5", "16384"}) {
    const auto found = (*branch)->Lookup(ino, name);
    REQUIRE(found.ok());
    ino = found->ino;
    if (std::string(name) == "16384") {
      CHECK(found->size_bytes == kLarge);
      CHECK(found->nlink == 2);
    }
  }
  const auto at = [&](uint64_t offset) {
    std::string bytes(6, '?');
    CHECK(*(*branch)->Read(ino, offset, std::as_writable_bytes(std::span(bytes))) == 6);
    return bytes;
  };
  CHECK(at(0) == std::string("begin\0", 6));
  CHECK(at(kLarge / 2) == "middle");
  CHECK(at(kLarge / 4) == std::string(6, '\0'));
  CHECK(at(kLarge - 6) == std::string(6, '\0'));
}

TEST_CASE_FIXTURE(StoreFixture, "names of any bytes and modes of any bits are kept") {
  const std::string longest(255, '\xff');
  WriteHostFile(data + "/base/" + longest, "x");
  WriteHostFile(data + "/base/\x01\x7f\n\"\\ *", "y");
  WriteHostFile(data + "/base/-rf", "z");
  WriteHostFile(data + "/base/program", "#!");
  REQUIRE(chmod((data + "/base/program").c_str(), 06755) == 0);
  Import("main");
  CHECK(BranchTree("main") == TreeOfDirectory(data));
}

TEST_CASE_FIXTURE(StoreFixture,
                  "a directory a thousand levels deep is imported, whatever the path's length") {
  os::UniqueFd at(open(data.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name(20, 'd');
  constexpr int kLevels = 1000;
  for (int level = 0; level < kLevels; ++level) {
    REQUIRE(mkdirat(at.get(), name.c_str(), 0700) == 0);
    at.Reset(openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at);
  }
  const os::UniqueFd file(openat(at.get(), "deepest", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(write(file.get(), "down here", 9) == 9);
  Import("main");
  const auto branch = store->volume().Open("main");
  REQUIRE(branch.ok());
  InodeNumber ino = (*branch)->root();
  for (int level = 0; level < kLevels; ++level) {
    const auto found = (*branch)->Lookup(ino, name);
    REQUIRE(found.ok());
    ino = found->ino;
  }
  const auto deepest = (*branch)->Lookup(ino, "deepest");
  REQUIRE(deepest.ok());
  CHECK(ReadBranchFile(**branch, *deepest) == "down here");
  at.Reset();
  REQUIRE(os::HostStorage().RemoveTree(data).ok());
}

TEST_CASE_FIXTURE(StoreFixture, "a source nested without end is refused") {
  os::UniqueFd at(open(data.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int level = 0; level < 4200; ++level) {
    REQUIRE(mkdirat(at.get(), "d", 0700) == 0);
    at.Reset(openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at);
  }
  const Status refused = store->imports().Import(caller, "main", data, nullptr).status();
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "is nested too deep");
  at.Reset();
  REQUIRE(os::HostStorage().RemoveTree(data).ok());
}

TEST_CASE_FIXTURE(StoreFixture, "a directory of a hundred thousand files is imported whole") {
  constexpr int kFiles = 100'000;
  fs::create_directory(data + "/base/many");
  const os::UniqueFd many(open((data + "/base/many").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < kFiles; ++i) {
    const os::UniqueFd file(
        openat(many.get(), std::to_string(i).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(file);
  }
  CHECK(Import("main").files == kFiles + 4);
  const auto branch = store->volume().Open("main");
  const auto base = (*branch)->Lookup((*branch)->root(), "base");
  const auto directory = (*branch)->Lookup(base->ino, "many");
  int listed = 0;
  REQUIRE(
      (*branch)
          ->List(directory->ino, {},
                 [&listed](layer::DirectoryCookie, const std::string&, const layer::Attributes&) {
                   ++listed;
                   return true;
                 })
          .ok());
  CHECK(listed == kFiles);
}

}  // namespace
}  // namespace velafs::store
