// rename(2) and renameat2(2).
#include <cstdio>
#include <string>

#include "integration/programs/posix/posix.h"

namespace posix {
namespace {

std::string Renamed(const char* from, const char* to, unsigned flags = 0) {
  return Outcome(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags));
}

TEST_CASE("every kind of node is renamed, in its directory and into another") {
  CHECK(Outcome(mkdir("there", 0755)) == "done");
  for (Kind kind : Kinds()) {
    CAPTURE(static_cast<int>(kind));
    Make(kind, "node");
    const struct stat before = Stat("node");
    CHECK(Renamed("node", "renamed") == "done");
    CHECK_FALSE(Exists("node"));
    CHECK(Renamed("renamed", "there/moved") == "done");
    const struct stat after = Stat("there/moved");
    CHECK(after.st_ino == before.st_ino);
    CHECK(after.st_mode == before.st_mode);
    CHECK(after.st_nlink == before.st_nlink);
    CHECK(Renamed("renamed", "x") == "ENOENT");
    CHECK(Outcome(std::remove("there/moved")) == "done");
  }
}

TEST_CASE("a rename replaces what is there, as far as it is of the same sort") {
  for (Kind from : Kinds()) {
    for (Kind to : Kinds()) {
      CAPTURE(static_cast<int>(from));
      CAPTURE(static_cast<int>(to));
      Make(from, "from");
      Make(to, "to");
      const ino_t moved = Stat("from").st_ino;
      const bool is_directory = from == Kind::kDirectory;
      const bool onto_directory = to == Kind::kDirectory;
      const std::string expected = is_directory == onto_directory ? "done"
                                   : is_directory                 ? "ENOTDIR"
                                                                  : "EISDIR";
      CHECK(Renamed("from", "to") == expected);
      if (expected == "done") {
        CHECK(Stat("to").st_ino == moved);
        CHECK_FALSE(Exists("from"));
      } else {
        CHECK(Outcome(std::remove("from")) == "done");
      }
      CHECK(Outcome(std::remove("to")) == "done");
    }
  }
}

TEST_CASE("a rename onto a directory with names in it is refused") {
  CHECK(Outcome(mkdir("from", 0755)) == "done");
  CHECK(Outcome(mkdir("to", 0755)) == "done");
  MakeFile("to/file");
  CHECK(Renamed("from", "to") == "ENOTEMPTY");
  CHECK(Renamed("to", "from") == "done");
  CHECK(Names("from") == std::vector<std::string>{"file"});
}

TEST_CASE("a directory cannot be moved below itself") {
  CHECK(Outcome(mkdir("a", 0755)) == "done");
  CHECK(Outcome(mkdir("a/b", 0755)) == "done");
  CHECK(Outcome(mkdir("a/b/c", 0755)) == "done");
  CHECK(Renamed("a", "a/x") == "EINVAL");
  CHECK(Renamed("a", "a/b/c/x") == "EINVAL");
  CHECK(Renamed("a/b/c", "a") == "ENOTEMPTY");
  CHECK(Renamed("a", "a/b/c", RENAME_EXCHANGE) == "EINVAL");
  CHECK(Renamed("a/.", "x") == "EBUSY");
  CHECK(Renamed("a", "a") == "done");
}

TEST_CASE("a rename of one name of a file onto another leaves both") {
  MakeFile("one");
  CHECK(Outcome(link("one", "two")) == "done");
  CHECK(Renamed("one", "two") == "done");
  CHECK(Names(".") == std::vector<std::string>{"one", "two"});
  CHECK(Stat("one").st_nlink == 2);
  CHECK(Renamed("one", "two", RENAME_EXCHANGE) == "done");
  CHECK(Renamed("one", "two", RENAME_NOREPLACE) == "EEXIST");
}

TEST_CASE("link counts and .. follow a directory that moves") {
  CHECK(Outcome(mkdir("a", 0755)) == "done");
  CHECK(Outcome(mkdir("b", 0755)) == "done");
  CHECK(Outcome(mkdir("a/moving", 0755)) == "done");
  CHECK(Outcome(mkdir("b/replaced", 0755)) == "done");
  CHECK(Renamed("a/moving", "b/moving") == "done");
  CHECK(Stat("a").st_nlink == 2);
  CHECK(Stat("b").st_nlink == 4);
  CHECK(Stat("b/moving/..").st_ino == Stat("b").st_ino);
  CHECK(Renamed("b/moving", "b/replaced") == "done");
  CHECK(Stat("b").st_nlink == 3);
  CHECK(Renamed("b/replaced", "a/back") == "done");
  CHECK(Stat("a").st_nlink == 3);
  CHECK(Stat("b").st_nlink == 2);
  MakeFile("b/file");
  CHECK(Renamed("a/back", "b/file", RENAME_EXCHANGE) == "done");
  CHECK(Stat("a").st_nlink == 2);
  CHECK(Stat("b").st_nlink == 3);
  CHECK(S_ISDIR(Stat("b/file").st_mode));
}

TEST_CASE("a replaced file loses a link, and lives on while it is open") {
  MakeFile("from", "new");
  MakeFile("to", "old");
  CHECK(Outcome(link("to", "kept")) == "done");
  MakeFile("last", "last");
  const UniqueFd open = Open("last", O_RDWR);
  CHECK(Renamed("from", "to") == "done");
  CHECK(Stat("kept").st_nlink == 1);
  CHECK(ContentOf("kept") == "old");
  CHECK(Renamed("to", "last") == "done");
  CHECK(ContentOf("last") == "new");
  char buffer[5] = {};
  CHECK(pread(open.get(), buffer, 4, 0) == 4);
  CHECK(std::string(buffer) == "last");
}

TEST_CASE("RENAME_NOREPLACE and RENAME_EXCHANGE do what they say") {
  for (Kind from : Kinds()) {
    for (Kind to : Kinds()) {
      CAPTURE(static_cast<int>(from));
      CAPTURE(static_cast<int>(to));
      Make(from, "from");
      Make(to, "to");
      const ino_t first = Stat("from").st_ino;
      const ino_t second = Stat("to").st_ino;
      CHECK(Renamed("from", "to", RENAME_NOREPLACE) == "EEXIST");
      CHECK(Renamed("from", "to", RENAME_EXCHANGE) == "done");
      CHECK(Stat("from").st_ino == second);
      CHECK(Stat("to").st_ino == first);
      CHECK(Renamed("from", "to", RENAME_EXCHANGE) == "done");
      CHECK(Outcome(std::remove("from")) == "done");
      CHECK(Renamed("to", "from", RENAME_EXCHANGE) == "ENOENT");
      CHECK(Renamed("to", "from", RENAME_NOREPLACE) == "done");
      CHECK(Outcome(std::remove("from")) == "done");
    }
  }
  MakeFile("file");
  CHECK(Renamed("file", "x", RENAME_NOREPLACE | RENAME_EXCHANGE) == "EINVAL");
}

TEST_CASE("a rename changes the times of both directories, and the time of change of the node") {
  CHECK(Outcome(mkdir("a", 0755)) == "done");
  CHECK(Outcome(mkdir("b", 0755)) == "done");
  for (Kind kind : Kinds()) {
    CAPTURE(static_cast<int>(kind));
    Make(kind, "a/node");
    CHECK(AdvancedBy("a", [] { return rename("a/node", "b/node"); }) == kBoth);
    CHECK(AdvancedBy("a", [] { return rename("b/node", "a/node"); }) == kBoth);
    const struct stat before = Past(Stat("a/node"));
    CHECK(Renamed("a/node", "b/node") == "done");
    CHECK(ToNs(Stat("b/node").st_ctim) > ToNs(before.st_ctim));
    CHECK(ToNs(Stat("b/node").st_mtim) == ToNs(before.st_mtim));
    CHECK(Outcome(std::remove("b/node")) == "done");
  }
  MakeFile("a/file");
  MakeFile("b/file");
  CHECK(Outcome(link("b/file", "kept")) == "done");
  CHECK(AdvancedBy("kept", [] { return rename("a/file", "b/file"); }) == kOnlyCtime);
  CHECK(AdvancedBy("a", [] { return rename("a/file", "a/x") == -1 ? 0 : -1; }) == kNeither);
}

}  // namespace
}  // namespace posix
