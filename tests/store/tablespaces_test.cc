// A branch's tablespaces as earlier versions left them, and as users made them.
#include <pthread.h>

#include <functional>

#include "tests/store/store_fixture.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/state_verbs.h"
#include "velafs/store/tablespace_verbs.h"

namespace velafs::store {
namespace {

using namespace test;

struct TablespacesFixture : StoreFixture {
  TablespacesFixture() {
    WriteHostFile(data + "/postgresql.auto.conf", "");
    fs::create_directories(data + "/pg_tblspc");
    Import("main");
  }

  layer::Branch& Branch() {
    const auto branch = store->volume().Open("main");
    REQUIRE(branch.ok());
    open_ = *branch;
    return *open_;
  }
  InodeNumber Inside(InodeNumber directory, const std::string& name) {
    const auto found = Branch().Lookup(directory, name);
    REQUIRE_MESSAGE(found.ok(), name);
    return found->ino;
  }
  InodeNumber MakeDirectory(InodeNumber directory, const std::string& name) {
    const auto made = Branch().Make(directory, name, {S_IFDIR | 0700, getuid(), getgid()});
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    return made->ino;
  }
  void MakeFile(InodeNumber directory, const std::string& name, const std::string& content) {
    const auto made = Branch().Make(directory, name, {S_IFREG | 0600, getuid(), getgid()});
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    REQUIRE(Branch().Write(made->ino, 0, std::as_bytes(std::span(content))).ok());
  }
  void MakeLink(const std::string& oid, const std::string& target) {
    const layer::NewNode link{S_IFLNK | 0777, getuid(), getgid(), 0, target};
    REQUIRE(Branch().Make(Inside(Branch().root(), "pg_tblspc"), oid, link).ok());
  }
  // As an import by an earlier version left it.
  void MakeOldTablespace() {
    const InodeNumber all = MakeDirectory(Branch().root(), "velafs_tablespaces");
    MakeFile(MakeDirectory(MakeDirectory(all, "16384"), "PG_15"), "1", "old");
    MakeLink("16384", "../velafs_tablespaces/16384");
  }
  std::vector<std::string> Forms() {
    const auto found = store->tablespaces().List("main");
    REQUIRE_MESSAGE(found.ok(), found.status().message());
    std::vector<std::string> forms;
    for (const Tablespace& one : *found) {
      const char* names[] = {"inside", "old link", "leads out"};
      forms.push_back(one.oid + " " + names[static_cast<size_t>(one.form)] + " " + one.target);
    }
    return forms;
  }
  void CheckFile(const std::string& path, const std::string& content) {
    const Tree tree = BranchTree("main");
    const auto found = tree.find(path);
    REQUIRE_MESSAGE(found != tree.end(), path);
    CHECK_MESSAGE(found->second.ends_with(" " + ContentOf(content)), found->second);
  }
  // Root's own data is not brought in: then it is another user's, who may read what is outside.
  void GiveToUser() {
    if (geteuid() != 0) return;
    const auto version = Branch().Lookup(Branch().root(), "PG_VERSION");
    REQUIRE(version.ok());
    REQUIRE(Branch().Set(version->ino, {.uid = 4242, .gid = 4242}).ok());
    fs::permissions(scratch / "", fs::perms::owner_all | fs::perms::others_exe);
  }
  Status BringInFailure(const Caller& by) {
    const auto result = store->tablespaces().BringIn(by, "main");
    REQUIRE_FALSE(result.ok());
    return result.status();
  }

  const std::string outside = scratch / "outside";
  const std::string allowed = "\nallow_in_place_tablespaces = on\n";

 private:
  std::shared_ptr<layer::Branch> open_;
};

TEST_CASE_FIXTURE(TablespacesFixture, "each tablespace is listed with its form") {
  MakeOldTablespace();
  MakeDirectory(Inside(Branch().root(), "pg_tblspc"), "16385");
  MakeLink("16386", "/srv/ts");
  MakeLink("16387", "../../other/ts");
  CHECK(Forms() == std::vector<std::string>{"16384 old link ../velafs_tablespaces/16384",
                                            "16385 inside ", "16386 leads out /srv/ts",
                                            "16387 leads out ../../other/ts"});
}

TEST_CASE_FIXTURE(TablespacesFixture, "an old link becomes the directory it leads to, for good") {
  MakeOldTablespace();
  REQUIRE(store->tablespaces().BringIn(caller, "main").ok());
  for (int i = 0; i < 2; ++i) {
    CHECK(Forms() == std::vector<std::string>{"16384 inside "});
    CheckFile("pg_tblspc/16384/PG_15/1", "old");
    CheckFile("postgresql.auto.conf", allowed);
    CHECK_FALSE(BranchTree("main").contains("velafs_tablespaces"));
    Reopen();
  }
  REQUIRE(store->tablespaces().BringIn(caller, "main").ok());  // there is nothing left to do
  CheckFile("postgresql.auto.conf", allowed);
}

TEST_CASE_FIXTURE(TablespacesFixture, "what a link leads to outside is copied into the branch") {
  WriteHostFile(outside + "/PG_15/5/1", Noise(3'000'000, 4));
  WriteHostFile(outside + "/PG_15/empty", "");
  WriteHostFile(outside + "/other", "not PostgreSQL's");
  const Tree before = TreeOfDirectory(outside);
  MakeLink("16386", outside);
  GiveToUser();
  REQUIRE(store->tablespaces().BringIn(caller, "main").ok());
  CHECK(Forms() == std::vector<std::string>{"16386 inside "});
  CheckFile("pg_tblspc/16386/PG_15/5/1", Noise(3'000'000, 4));
  CheckFile("pg_tblspc/16386/PG_15/empty", "");
  CHECK_FALSE(BranchTree("main").contains("pg_tblspc/16386/other"));
  CHECK_FALSE(BranchTree("main").contains("velafs_tablespaces"));
  CHECK(TreeOfDirectory(outside) == before);
}

TEST_CASE_FIXTURE(TablespacesFixture, "a copy that was interrupted begins anew") {
  WriteHostFile(outside + "/PG_15/1", "rows");
  const InodeNumber all = MakeDirectory(Branch().root(), "velafs_tablespaces");
  MakeFile(MakeDirectory(MakeDirectory(all, "16386"), "PG_15"), "half", "ro");
  MakeLink("16386", outside);
  GiveToUser();
  REQUIRE(store->tablespaces().BringIn(caller, "main").ok());
  CheckFile("pg_tblspc/16386/PG_15/1", "rows");
  CHECK_FALSE(BranchTree("main").contains("pg_tblspc/16386/PG_15/half"));
}

// Runs `body` on a thread whose stack is as small as a thread's can sensibly be.
void WithLittleStack(std::function<void()> body) {
  constexpr size_t kStackBytes = 256 * 1024;
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, kStackBytes) == 0);
  pthread_t thread{};
  const auto run = [](void* of) -> void* {
    (*static_cast<std::function<void()>*>(of))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, run, &body) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  pthread_attr_destroy(&attributes);
}

TEST_CASE_FIXTURE(TablespacesFixture,
                  "what is in the way of a copy is removed however deep it is") {
  WriteHostFile(outside + "/PG_15/1", "outside");
  MakeLink("16384", outside);
  InodeNumber at = MakeDirectory(MakeDirectory(Branch().root(), "velafs_tablespaces"), "16384");
  for (int depth = 0; depth < 5000; ++depth) {
    MakeFile(at, "file", "");
    at = MakeDirectory(at, "d");
  }
  GiveToUser();
  WithLittleStack([&] { CHECK(store->tablespaces().BringIn(caller, "main").ok()); });
  CHECK(Forms() == std::vector<std::string>{"16384 inside "});
}

TEST_CASE_FIXTURE(TablespacesFixture, "no link inside of what is copied is followed") {
  WriteHostFile(outside + "/PG_15/1", "rows");
  WriteHostFile(scratch / "secret", "secret");
  fs::create_symlink(scratch / "secret", outside + "/PG_15/2");
  MakeLink("16386", outside);
  GiveToUser();
  const Status refused = BringInFailure(caller);
  CHECK(refused.code() == Code::kRefused);
  CheckMessage(refused, "/PG_15/2\" is neither a directory nor a file");
  CHECK(Forms() == std::vector<std::string>{"16386 leads out " + outside});
}

TEST_CASE_FIXTURE(TablespacesFixture, "only the data's owner has files outside of a branch read") {
  if (geteuid() != 0) return;
  WriteHostFile(outside + "/PG_15/1", "rows");
  MakeLink("16386", outside);
  REQUIRE(store->branches().SetOwner(caller, "main", "tester2").ok());
  const Caller other{4242, "tester2"};
  CheckMessage(BringInFailure(other), "its data belongs to another user");
  CheckMessage(BringInFailure(caller), "its data belongs to root");
  // Not even root reads more for him than he may.
  const auto version = Branch().Lookup(Branch().root(), "PG_VERSION");
  REQUIRE(version.ok());
  REQUIRE(Branch().Set(version->ino, {.uid = 4242, .gid = 4242}).ok());
  fs::permissions(outside, fs::perms::owner_all);
  CheckMessage(BringInFailure(caller), "Permission denied");
  fs::permissions(scratch / "", fs::perms::owner_all | fs::perms::others_exe);
  fs::permissions(outside, fs::perms::owner_all | fs::perms::others_exe | fs::perms::others_read);
  CHECK(store->tablespaces().BringIn(other, "main").ok());
  CheckFile("pg_tblspc/16386/PG_15/1", "rows");
}

TEST_CASE_FIXTURE(TablespacesFixture, "a link to what is gone is dropped, and no other") {
  MakeOldTablespace();
  fs::create_directories(outside);
  MakeLink("16386", outside);
  MakeLink("16387", "/nonexistent/velafs/ts");
  const auto refused_inside = store->tablespaces().DropLink(caller, "main", "16384");
  const auto refused_there = store->tablespaces().DropLink(caller, "main", "16386");
  const auto missing = store->tablespaces().DropLink(caller, "main", "1");
  CHECK(refused_inside.status().code() == Code::kRefused);
  CHECK(refused_there.status().code() == Code::kRefused);
  CHECK(missing.status().code() == Code::kNotFound);
  CHECK(Forms().size() == 3);
  REQUIRE(store->tablespaces().DropLink(caller, "main", "16387").ok());
  CHECK(Forms().size() == 2);
}

TEST_CASE_FIXTURE(TablespacesFixture,
                  "an export of a branch with a link that leads out is refused") {
  MakeLink("16386", "/srv/ts");
  size_t bytes = 0;
  const auto exported = store->states().Export(
      caller, "main",
      [&](std::span<const std::byte> more) {
        bytes += more.size();
        return Status();
      },
      nullptr);
  REQUIRE_FALSE(exported.ok());
  CHECK(exported.status().code() == Code::kRefused);
  CheckMessage(exported.status(), "tablespace 16386 leads out of the branch, to \"/srv/ts\"");
  CHECK(exported.status().hint().find("velafs tablespaces main --bring-in") != std::string::npos);
  CHECK(bytes == 0);
}

TEST_CASE_FIXTURE(TablespacesFixture, "an old link is exported as the directory it leads to") {
  MakeOldTablespace();
  fs::create_directories(scratch / "out");
  const std::string tar = scratch / "out.tar";
  std::ofstream file(tar, std::ios::binary);
  const auto exported = store->states().Export(
      caller, "main",
      [&](std::span<const std::byte> more) {
        file.write(reinterpret_cast<const char*>(more.data()),
                   static_cast<std::streamsize>(more.size()));
        return Status();
      },
      nullptr);
  REQUIRE_MESSAGE(exported.ok(), exported.status().message());
  file.close();
  REQUIRE(std::system(("tar -xf " + tar + " -C " + (scratch / "out")).c_str()) == 0);
  const Tree tree = TreeOfDirectory(scratch / "out");
  CHECK(ReadHostFile(scratch / "out/pg_tblspc/16384/PG_15/1") == "old");
  CHECK(ReadHostFile(scratch / "out/postgresql.auto.conf") == allowed);
  CHECK(tree.at("pg_tblspc/16384").starts_with("40"));
  CHECK_FALSE(tree.contains("velafs_tablespaces"));
  CHECK(Forms() == std::vector<std::string>{"16384 old link ../velafs_tablespaces/16384"});
}

}  // namespace
}  // namespace velafs::store
