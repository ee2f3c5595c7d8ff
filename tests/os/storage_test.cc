#include "velafs/os/storage.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <vector>

#include "tests/os/scratch_directory.h"
#include "velafs/os/unique_fd.h"

namespace velafs::os {
namespace {

using test::ScratchDirectory;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string ReadText(File& file, uint64_t offset_bytes, size_t size) {
  std::string text(size, '?');
  const auto got = file.Read(offset_bytes, std::as_writable_bytes(std::span(text)));
  REQUIRE(got.ok());
  text.resize(*got);
  return text;
}

std::unique_ptr<File> Make(const std::string& path) {
  auto file = HostStorage().Open(path, OpenMode::kCreate);
  REQUIRE(file.ok());
  return *std::move(file);
}

TEST_CASE("a file reads what was written, and less than asked for at its end") {
  ScratchDirectory directory;
  const auto file = Make(directory / "f");
  REQUIRE(file->Write(3, Bytes("hello")).ok());
  CHECK(ReadText(*file, 0, 100) == std::string_view("\0\0\0hello", 8));
  CHECK(ReadText(*file, 5, 2) == "ll");
  CHECK(ReadText(*file, 8, 10).empty());
  CHECK(file->Sync(SyncKind::kData).ok());
  CHECK(file->Sync(SyncKind::kFull).ok());
}

TEST_CASE("a new file is readable by its owner only") {
  ScratchDirectory directory;
  Make(directory / "f");
  struct stat st {};
  REQUIRE(stat((directory / "f").c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
}

TEST_CASE("opening fails with the errno of the system call and names the path") {
  ScratchDirectory directory;
  const std::string path = directory / "f";
  const Status missing = HostStorage().Open(path, OpenMode::kRead).status();
  CHECK(missing.error_number() == ENOENT);
  CHECK(missing.message() == "cannot open \"" + path + "\": No such file or directory");
  CHECK(HostStorage().Open(path, OpenMode::kReadWrite).status().error_number() == ENOENT);
  CHECK(HostStorage().Open(path, OpenMode::kCreateNew).ok());
  CHECK(HostStorage().Open(path, OpenMode::kCreateNew).status().error_number() == EEXIST);
  CHECK(HostStorage().Open(path, OpenMode::kCreate).ok());
}

TEST_CASE("a file opened for reading cannot be written") {
  ScratchDirectory directory;
  Make(directory / "f");
  const auto file = HostStorage().Open(directory / "f", OpenMode::kRead);
  REQUIRE(file.ok());
  CHECK((*file)->Write(0, Bytes("x")).error_number() == EBADF);
}

TEST_CASE("truncating cuts content off, and growing reads as zeros") {
  ScratchDirectory directory;
  const auto file = Make(directory / "f");
  REQUIRE(file->Write(0, Bytes("abcdef")).ok());
  REQUIRE(file->Truncate(2).ok());
  REQUIRE(file->Truncate(4).ok());
  CHECK(ReadText(*file, 0, 10) == std::string_view("ab\0\0", 4));
}

TEST_CASE("allocating reserves space, beyond the end only when told to keep the size") {
  ScratchDirectory directory;
  const auto file = Make(directory / "f");
  const Status kept = file->Allocate({0, 1 << 16}, true);
  if (kept.error_number() == EOPNOTSUPP) return;  // as the contract allows
  REQUIRE(kept.ok());
  CHECK(file->Stat()->size_bytes == 0);
  CHECK(file->Stat()->allocated_bytes >= 1 << 16);
  REQUIRE(file->Allocate({0, 1 << 16}, false).ok());
  CHECK(file->Stat()->size_bytes == 1 << 16);
}

TEST_CASE("a punched hole reads as zeros, keeps the size and is found by seeking") {
  ScratchDirectory directory;
  const auto file = Make(directory / "f");
  constexpr size_t kBlock = 1 << 16;
  REQUIRE(file->Write(0, Bytes(std::string(3 * kBlock, 'x'))).ok());
  const Status punched = file->PunchHole({kBlock, kBlock});
  if (punched.error_number() == EOPNOTSUPP) return;
  REQUIRE(punched.ok());
  CHECK(file->Stat()->size_bytes == 3 * kBlock);
  CHECK(ReadText(*file, kBlock - 1, 3) == std::string_view("x\0\0", 3));
  CHECK(*file->SeekHole(0) == kBlock);
  CHECK(*file->SeekData(kBlock) == 2 * kBlock);
  CHECK(file->SeekData(3 * kBlock).status().error_number() == ENXIO);
}

TEST_CASE("times are kept to the nanosecond, before 1970 too") {
  ScratchDirectory directory;
  const auto file = Make(directory / "f");
  REQUIRE(file->SetTimes(-1, 1'700'000'000'123'456'789).ok());
  const auto info = file->Stat();
  REQUIRE(info.ok());
  CHECK(info->atime == -1);
  CHECK(info->mtime == 1'700'000'000'123'456'789);
}

TEST_CASE("a directory gets the mode asked for whatever the umask") {
  ScratchDirectory directory;
  const mode_t old_umask = umask(0077);
  const Status made = HostStorage().MakeDirectory(directory / "d", 0755);
  umask(old_umask);
  REQUIRE(made.ok());
  struct stat st {};
  REQUIRE(stat((directory / "d").c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0755);
  CHECK(HostStorage().MakeDirectory(directory / "d", 0755).error_number() == EEXIST);
}

TEST_CASE("directories are spread where the filesystem can, and nothing fails where not") {
  const ScratchDirectory scratch;
  Storage& storage = HostStorage();
  storage.SpreadDirectories(scratch.path());
  storage.SpreadDirectories(scratch / "missing");
  CHECK(storage.MakeDirectory(scratch / "a", 0700).ok());
  struct statfs filesystem {};
  REQUIRE(statfs(scratch.path().c_str(), &filesystem) == 0);
  if (filesystem.f_type != EXT4_SUPER_MAGIC) return;
  const int fd = open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  unsigned flags = 0;
  CHECK(ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0);
  CHECK((flags & FS_TOPDIR_FL) != 0);
  close(fd);
}

TEST_CASE("a directory lists its entries and their kind") {
  ScratchDirectory directory;
  Make(directory / "file");
  REQUIRE(HostStorage().MakeDirectory(directory / "sub", 0700).ok());
  REQUIRE(symlink("sub", (directory / "link").c_str()) == 0);
  auto entries = HostStorage().List(directory.path());
  REQUIRE(entries.ok());
  std::sort(entries->begin(), entries->end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  REQUIRE(entries->size() == 3);
  CHECK((*entries)[0].name == "file");
  CHECK_FALSE((*entries)[0].is_directory);
  CHECK((*entries)[1].name == "link");
  CHECK_FALSE((*entries)[1].is_directory);
  CHECK((*entries)[2].name == "sub");
  CHECK((*entries)[2].is_directory);
  CHECK(HostStorage().List(directory / "none").status().error_number() == ENOENT);
}

TEST_CASE("removing a tree takes all that is in it and follows no symbolic link") {
  ScratchDirectory directory;
  Storage& storage = HostStorage();
  REQUIRE(storage.MakeDirectory(directory / "kept", 0700).ok());
  Make(directory / "kept/f");
  REQUIRE(storage.MakeDirectory(directory / "tree", 0700).ok());
  REQUIRE(storage.MakeDirectory(directory / "tree/a", 0700).ok());
  REQUIRE(storage.MakeDirectory(directory / "tree/a/b", 0700).ok());
  Make(directory / "tree/a/b/f");
  REQUIRE(symlink("../kept", (directory / "tree/link").c_str()) == 0);
  CHECK(storage.RemoveTree(directory / "tree").ok());
  CHECK(storage.Stat(directory / "tree").status().error_number() == ENOENT);
  CHECK(storage.RemoveTree(directory / "tree").ok());
  REQUIRE(symlink("kept", (directory / "link").c_str()) == 0);
  CHECK_FALSE(storage.RemoveTree(directory / "link").ok());
  CHECK(storage.Stat(directory / "kept/f").ok());
}

// A chain of directories, made so that no path is long: each is made beside the chain, which then
// moves into it.
void MakeChain(const std::string& place, int depth) {
  const UniqueFd at(open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(at);
  REQUIRE(mkdirat(at.get(), "a", 0700) == 0);
  for (int i = 1; i < depth; ++i) {
    REQUIRE(mkdirat(at.get(), "b", 0700) == 0);
    REQUIRE(renameat(at.get(), "a", at.get(), "b/a") == 0);
    REQUIRE(renameat(at.get(), "b", at.get(), "a") == 0);
  }
}

TEST_CASE("a tree is removed however deep it is, with few open files") {
  ScratchDirectory directory;
  REQUIRE(HostStorage().MakeDirectory(directory / "tree", 0700).ok());
  MakeChain(directory / "tree", 5000);
  // What a removal that was cut short has left is in no way.
  REQUIRE(HostStorage().MakeDirectory(directory / "tree/.removed-0", 0700).ok());
  Make(directory / "tree/.removed-0/f");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{std::min<rlim_t>(before.rlim_cur, 200), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
  const Status removed = HostStorage().RemoveTree(directory / "tree");
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE_MESSAGE(removed.ok(), removed.message());
  CHECK(HostStorage().Stat(directory / "tree").status().error_number() == ENOENT);
}

TEST_CASE("nobody goes on filling a directory of his that is being removed") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root removes what is another's");
    return;
  }
  constexpr uid_t kOther = 65534;
  ScratchDirectory directory;
  const std::string tree = directory / "tree";
  std::vector<UniqueFd> left;  // as a process of his may have them
  for (const std::string& path : {tree, tree + "/a", tree + "/a/b"}) {
    REQUIRE(HostStorage().MakeDirectory(path, 0777).ok());
    Make(path + "/file");
    REQUIRE(chown(path.c_str(), kOther, kOther) == 0);
    left.emplace_back(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  REQUIRE(HostStorage().RemoveTree(tree).ok());
  for (const UniqueFd& fd : left) {
    struct stat info {};
    REQUIRE(fstat(fd.get(), &info) == 0);
    CHECK(info.st_nlink == 0);
    CHECK(info.st_uid == geteuid());
    CHECK((info.st_mode & 0777) == 0700);
  }
}

TEST_CASE("a rename replaces its target, and a removed file is gone") {
  ScratchDirectory directory;
  Storage& storage = HostStorage();
  REQUIRE(Make(directory / "a")->Write(0, Bytes("new")).ok());
  REQUIRE(Make(directory / "b")->Write(0, Bytes("older")).ok());
  REQUIRE(storage.Rename(directory / "a", directory / "b").ok());
  CHECK(storage.Stat(directory / "a").status().error_number() == ENOENT);
  CHECK(storage.Stat(directory / "b")->size_bytes == 3);
  CHECK(storage.SyncDirectory(directory.path()).ok());
  CHECK(storage.RemoveFile(directory / "b").ok());
  CHECK(storage.RemoveFile(directory / "b").error_number() == ENOENT);
  CHECK(storage.SyncDirectory(directory / "none").error_number() == ENOENT);
}

TEST_CASE("space is told in blocks") {
  ScratchDirectory directory;
  const auto space = HostStorage().Space(directory.path());
  REQUIRE(space.ok());
  CHECK(space->block_bytes > 0);
  CHECK(space->total_blocks >= space->free_blocks);
  CHECK(space->free_blocks >= space->available_blocks);
}

}  // namespace
}  // namespace velafs::os
