#include "velafs/os/remove_tree.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "tests/os/scratch_directory.h"

namespace velafs::os {
namespace {

namespace fs = std::filesystem;
using test::ScratchDirectory;

constexpr uid_t kNobody = 65534;

// Root may remove everything; so these cases are another user's, if they are root's to begin with.
class AsNobody {
 public:
  AsNobody() {
    if (geteuid() == 0) REQUIRE(seteuid(kNobody) == 0);
  }
  ~AsNobody() {
    if (getuid() == 0) REQUIRE(seteuid(0) == 0);
  }
};

void Make(const std::string& path) { std::ofstream(path) << "x"; }

void GiveAll(const std::string& directory) {
  if (geteuid() != 0) return;
  REQUIRE(chown(directory.c_str(), kNobody, kNobody) == 0);
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    REQUIRE(lchown(entry.path().c_str(), kNobody, kNobody) == 0);
  }
}

TEST_CASE("what its owner may not look into is removed, too") {
  ScratchDirectory scratch;
  fs::create_directories(scratch / "tree/a/b/c");
  Make(scratch / "tree/a/b/c/f");
  GiveAll(scratch / "");
  for (const char* closed : {"tree/a/b/c", "tree/a/b", "tree/a"}) {
    fs::permissions(scratch / closed, fs::perms::none);
  }
  const AsNobody as_nobody;
  const Status removed = RemoveTree(AT_FDCWD, scratch / "tree");
  CHECK_MESSAGE(removed.ok(), removed.message());
  CHECK_FALSE(fs::exists(scratch / "tree"));
}

TEST_CASE("what cannot be removed does not keep the rest, and is told") {
  if (geteuid() != 0) return;  // who else could put it there
  ScratchDirectory scratch;
  fs::create_directories(scratch / "tree/b");
  fs::create_directories(scratch / "tree/z");
  Make(scratch / "tree/z/f");
  GiveAll(scratch / "");
  fs::create_directories(scratch / "tree/roots");
  Make(scratch / "tree/roots/f");
  const AsNobody as_nobody;
  CHECK(RemoveTree(AT_FDCWD, scratch / "tree").error_number() == EACCES);
  CHECK(fs::exists(scratch / "tree/roots/f"));
  CHECK_FALSE(fs::exists(scratch / "tree/b"));
  CHECK_FALSE(fs::exists(scratch / "tree/z"));
}

TEST_CASE("of a link that takes a directory's place neither content nor mode is touched") {
  ScratchDirectory scratch;
  fs::create_directories(scratch / "kept");
  Make(scratch / "kept/f");
  fs::permissions(scratch / "kept", fs::perms::owner_read | fs::perms::owner_exec);
  fs::create_directories(scratch / "tree");
  fs::create_symlink(scratch / "kept", scratch / "tree/link");
  CHECK(RemoveTree(AT_FDCWD, scratch / "tree").ok());
  fs::create_symlink(scratch / "kept", scratch / "link");
  CHECK(RemoveTree(AT_FDCWD, scratch / "link").ok());
  CHECK_FALSE(fs::is_symlink(scratch / "link"));
  CHECK(fs::exists(scratch / "kept/f"));
  CHECK(fs::status(scratch / "kept").permissions() ==
        (fs::perms::owner_read | fs::perms::owner_exec));
  fs::permissions(scratch / "kept", fs::perms::owner_all);
}

}  // namespace
}  // namespace velafs::os
