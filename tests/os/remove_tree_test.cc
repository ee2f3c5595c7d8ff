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

void MakeTreeFile(const std::string& path) { std::ofstream(path) << "x"; }

void GiveAll(const std::string& directory) {
  if (geteuid() != 0) return;
  REQUIRE(chown(directory.c_str(), kNobody, kNobody) == 0);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    REQUIRE(lchown(entry.path().c_str(), kNobody, kNobody) == 0);
  }
}

TEST_CASE("what its owner may not look into is removed, too") {
  ScratchDirectory scratch;
  std::filesystem::create_directories(scratch / "tree/a/b/c");
  MakeTreeFile(scratch / "tree/a/b/c/f");
  GiveAll(scratch / "");
  for (const char* closed : {"tree/a/b/c", "tree/a/b", "tree/a"}) {
    std::filesystem::permissions(scratch / closed, std::filesystem::perms::none);
  }
  const AsNobody as_nobody;
  const Status removed = RemoveTree(AT_FDCWD, scratch / "tree");
  CHECK_MESSAGE(removed.ok(), removed.message());
  CHECK_FALSE(std::filesystem::exists(scratch / "tree"));
}

TEST_CASE("what cannot be removed does not keep the rest, and is told") {
  if (geteuid() != 0) return;  // who else could put it there
  ScratchDirectory scratch;
  std::filesystem::create_directories(scratch / "tree/b");
  std::filesystem::create_directories(scratch / "tree/z");
  MakeTreeFile(scratch / "tree/z/f");
  GiveAll(scratch / "");
  std::filesystem::create_directories(scratch / "tree/roots");
  MakeTreeFile(scratch / "tree/roots/f");
  const AsNobody as_nobody;
  CHECK(RemoveTree(AT_FDCWD, scratch / "tree").error_number() == EACCES);
  CHECK(std::filesystem::exists(scratch / "tree/roots/f"));
  CHECK_FALSE(std::filesystem::exists(scratch / "tree/b"));
  CHECK_FALSE(std::filesystem::exists(scratch / "tree/z"));
}

TEST_CASE("of a link that takes a directory's place neither content nor mode is touched") {
  ScratchDirectory scratch;
  std::filesystem::create_directories(scratch / "kept");
  MakeTreeFile(scratch / "kept/f");
  std::filesystem::permissions(
      scratch / "kept", std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  std::filesystem::create_directories(scratch / "tree");
  std::filesystem::create_symlink(scratch / "kept", scratch / "tree/link");
  CHECK(RemoveTree(AT_FDCWD, scratch / "tree").ok());
  std::filesystem::create_symlink(scratch / "kept", scratch / "link");
  CHECK(RemoveTree(AT_FDCWD, scratch / "link").ok());
  CHECK_FALSE(std::filesystem::is_symlink(scratch / "link"));
  CHECK(std::filesystem::exists(scratch / "kept/f"));
  CHECK(std::filesystem::status(scratch / "kept").permissions() ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec));
  std::filesystem::permissions(scratch / "kept", std::filesystem::perms::owner_all);
}

}  // namespace
}  // namespace velafs::os
