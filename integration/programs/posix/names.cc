// Names: making them, removing them, moving them.
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "integration/programs/posix/posix.h"

namespace posix {
namespace {

const std::string kLongest(255, 'n');
const std::string kTooLong(256, 'n');

TEST_CASE("every kind of node shows what it was made as") {
  const mode_t types[] = {S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFLNK, S_IFCHR, S_IFBLK};
  for (Kind kind : Kinds()) {
    CAPTURE(static_cast<int>(kind));
    Make(kind, "node");
    const struct stat made = Stat("node");
    CHECK((made.st_mode & S_IFMT) == types[static_cast<int>(kind)]);
    CHECK(made.st_nlink == (kind == Kind::kDirectory ? 2 : 1));
    if (kind == Kind::kCharacterDevice) CHECK(made.st_rdev == makedev(1, 3));
    if (kind == Kind::kBlockDevice) CHECK(made.st_rdev == makedev(259, 70'000));
    for (const auto make :
         {+[] { return mkdir("node", 0755); }, +[] { return mkfifo("node", 0644); },
          +[] { return symlink("x", "node"); },
          +[] { return open("node", O_CREAT | O_EXCL | O_RDWR, 0644); }}) {
      CHECK(Outcome(make()) == "EEXIST");
    }
    CHECK(Outcome(std::remove("node")) == "done");
    CHECK_FALSE(Exists("node"));
  }
}

TEST_CASE("names have up to 255 bytes, of any value but slash and NUL") {
  std::string bytes;
  for (int c = 1; c < 256; ++c) {
    if (c != '/') bytes.push_back(static_cast<char>(c));
  }
  for (const std::string& name : {kLongest, bytes, std::string("\xff\xfe"), std::string("a\nb ")}) {
    MakeFile(name, "content");
    CHECK(Names(".") == std::vector<std::string>{name});
    CHECK(ContentOf(name) == "content");
    CHECK(Outcome(rename(name.c_str(), "x")) == "done");
    CHECK(Outcome(link("x", name.c_str())) == "done");
    CHECK(Outcome(unlink(name.c_str())) == "done");
    CHECK(Outcome(unlink("x")) == "done");
  }
  const char* too_long = kTooLong.c_str();
  struct stat found {};
  MakeFile("file");
  CHECK(Outcome(stat(too_long, &found)) == "ENAMETOOLONG");
  CHECK(OpenOutcome(too_long, O_CREAT | O_WRONLY) == "ENAMETOOLONG");
  CHECK(OpenOutcome(too_long, O_RDONLY) == "ENAMETOOLONG");
  CHECK(Outcome(mkdir(too_long, 0755)) == "ENAMETOOLONG");
  CHECK(Outcome(mkfifo(too_long, 0644)) == "ENAMETOOLONG");
  CHECK(Outcome(symlink("x", too_long)) == "ENAMETOOLONG");
  CHECK(Outcome(link("file", too_long)) == "ENAMETOOLONG");
  CHECK(Outcome(rename("file", too_long)) == "ENAMETOOLONG");
  CHECK(Outcome(rename(too_long, "file")) == "ENAMETOOLONG");
  CHECK(Outcome(unlink(too_long)) == "ENAMETOOLONG");
  CHECK(Outcome(rmdir(too_long)) == "ENAMETOOLONG");
  CHECK(Outcome(chmod(too_long, 0644)) == "ENAMETOOLONG");
  CHECK(Outcome(truncate(too_long, 0)) == "ENAMETOOLONG");
}

TEST_CASE("a path has up to 4095 bytes") {
  std::string path = "./";
  while (path.size() + 256 < 4095) {
    path += kLongest;
    REQUIRE(Outcome(mkdir(path.c_str(), 0755)) == "done");
    path += '/';
  }
  path += std::string(4095 - path.size(), 'l');
  MakeFile(path, "deep");
  CHECK(ContentOf(path) == "deep");
  CHECK(Outcome(unlink(path.c_str())) == "done");
  path += 'l';
  CHECK(OpenOutcome(path, O_CREAT | O_WRONLY) == "ENAMETOOLONG");
}

TEST_CASE("a path that leads through what is not a directory, or is not there, is refused") {
  MakeFile("file");
  CHECK(Outcome(symlink("loop2", "loop")) == "done");
  CHECK(Outcome(symlink("loop", "loop2")) == "done");
  for (const auto& [path, expected] :
       {std::pair{"file/x", "ENOTDIR"}, {"no/x", "ENOENT"}, {"loop/x", "ELOOP"}}) {
    const char* const prefix = path;
    CAPTURE(prefix);
    struct stat found {};
    CHECK(Outcome(lstat(prefix, &found)) == expected);
    CHECK(OpenOutcome(prefix, O_CREAT | O_WRONLY) == expected);
    CHECK(Outcome(mkdir(prefix, 0755)) == expected);
    CHECK(Outcome(mkfifo(prefix, 0644)) == expected);
    CHECK(Outcome(symlink("x", prefix)) == expected);
    CHECK(Outcome(link("file", prefix)) == expected);
    CHECK(Outcome(link(prefix, "new")) == expected);
    CHECK(Outcome(rename("file", prefix)) == expected);
    CHECK(Outcome(rename(prefix, "new")) == expected);
    CHECK(Outcome(unlink(prefix)) == expected);
    CHECK(Outcome(rmdir(prefix)) == expected);
    CHECK(Outcome(chmod(prefix, 0644)) == expected);
    CHECK(Outcome(truncate(prefix, 0)) == expected);
  }
  CHECK(OpenOutcome("loop", O_RDONLY) == "ELOOP");
  CHECK(OpenOutcome("file", O_RDONLY | O_DIRECTORY) == "ENOTDIR");
  CHECK(Outcome(unlink("file/")) == "ENOTDIR");
  CHECK(Outcome(rename("file", "new/")) == "ENOTDIR");
}

TEST_CASE("a symbolic link keeps its target byte for byte") {
  const std::string longest(4095, 't');
  for (const std::string& target : {std::string("t"), std::string("\xff\n /.."),
                                    std::string(59, 'x'), std::string(60, 'y'), longest}) {
    CHECK(Outcome(symlink(target.c_str(), "link")) == "done");
    std::string found(5000, '\0');
    const ssize_t length = readlink("link", found.data(), found.size());
    REQUIRE(length == static_cast<ssize_t>(target.size()));
    CHECK(found.substr(0, target.size()) == target);
    CHECK(Stat("link").st_size == length);
    CHECK(readlink("link", found.data(), 1) == 1);
    CHECK(Outcome(unlink("link")) == "done");
  }
  char buffer[8];
  MakeFile("file");
  CHECK(Outcome(readlink("file", buffer, sizeof buffer)) == "EINVAL");
  CHECK(Outcome(readlink(".", buffer, sizeof buffer)) == "EINVAL");
  CHECK(Outcome(symlink((longest + "t").c_str(), "link")) == "ENAMETOOLONG");
  CHECK(Outcome(symlink("", "link")) == "ENOENT");
}

TEST_CASE("forty symbolic links can be followed, and no more") {
  MakeFile("link0", "end");
  for (int i = 1; i <= 41; ++i) {
    CHECK(Outcome(symlink(("link" + std::to_string(i - 1)).c_str(),
                          ("link" + std::to_string(i)).c_str())) == "done");
  }
  CHECK(ContentOf("link40") == "end");
  CHECK(OpenOutcome("link41", O_RDONLY) == "ELOOP");
}

TEST_CASE("a hard link is the same file under one more name") {
  for (Kind kind : Kinds()) {
    CAPTURE(static_cast<int>(kind));
    Make(kind, "node");
    if (kind == Kind::kDirectory) {
      CHECK(Outcome(link("node", "second")) == "EPERM");
      CHECK(Outcome(rmdir("node")) == "done");
      continue;
    }
    CHECK(Outcome(link("node", "second")) == "done");
    CHECK(Outcome(link("second", "third")) == "done");
    CHECK(Outcome(link("node", "third")) == "EEXIST");
    CHECK(Outcome(link("missing", "fourth")) == "ENOENT");
    for (const char* name : {"node", "second", "third"}) {
      CHECK(Stat(name).st_ino == Stat("node").st_ino);
      CHECK(Stat(name).st_nlink == 3);
    }
    CHECK(Outcome(unlink("node")) == "done");
    CHECK(Stat("second").st_nlink == 2);
    if (kind != Kind::kSymlink) {
      CHECK(Outcome(chmod("second", 0600)) == "done");
      CHECK(ModeOf("third") == 0600);
    }
    CHECK(Outcome(unlink("second")) == "done");
    CHECK(Stat("third").st_nlink == 1);
    CHECK(Outcome(unlink("third")) == "done");
  }
}

TEST_CASE("directories count their subdirectories, and are removed only when empty") {
  CHECK(Outcome(mkdir("directory", 0755)) == "done");
  CHECK(Stat("directory").st_nlink == 2);
  CHECK(Outcome(mkdir("directory/one", 0755)) == "done");
  CHECK(Outcome(mkdir("directory/two", 0755)) == "done");
  MakeFile("directory/file");
  CHECK(Stat("directory").st_nlink == 4);
  CHECK(Outcome(rmdir("directory")) == "ENOTEMPTY");
  CHECK(Outcome(rmdir("directory/file")) == "ENOTDIR");
  CHECK(Outcome(unlink("directory/one")) == "EISDIR");
  CHECK(Outcome(rmdir("directory/one/.")) == "EINVAL");
  CHECK(Outcome(rmdir("directory/one/..")) == "ENOTEMPTY");
  CHECK(Outcome(rmdir("missing")) == "ENOENT");
  CHECK(Outcome(unlink("missing")) == "ENOENT");
  CHECK(Outcome(rmdir("directory/one")) == "done");
  CHECK(Outcome(rmdir("directory/two")) == "done");
  CHECK(Stat("directory").st_nlink == 2);
  CHECK(Outcome(rmdir("directory")) == "ENOTEMPTY");
  CHECK(Outcome(unlink("directory/file")) == "done");
  CHECK(Outcome(rmdir("directory")) == "done");
}

TEST_CASE("a directory that was removed takes no names") {
  CHECK(Outcome(mkdir("directory", 0755)) == "done");
  const UniqueFd directory = Open("directory", O_RDONLY | O_DIRECTORY);
  CHECK(Outcome(rmdir("directory")) == "done");
  struct stat found {};
  CHECK(Outcome(fstat(directory.get(), &found)) == "done");
  CHECK(found.st_nlink == 0);
  CHECK(Outcome(openat(directory.get(), "x", O_CREAT | O_WRONLY, 0644)) == "ENOENT");
  CHECK(Outcome(mkdirat(directory.get(), "x", 0755)) == "ENOENT");
  CHECK(Outcome(fsync(directory.get())) == "done");
}

TEST_CASE("sockets and fifos work on the filesystem") {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "socket"};
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const UniqueFd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(Outcome(bind(server.get(), generic, sizeof address)) == "done");
  CHECK(S_ISSOCK(Stat("socket").st_mode));
  CHECK(Outcome(bind(UniqueFd(socket(AF_UNIX, SOCK_STREAM, 0)).get(), generic, sizeof address)) ==
        "EADDRINUSE");
  REQUIRE(Outcome(listen(server.get(), 1)) == "done");
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(Outcome(connect(client.get(), generic, sizeof address)) == "done");
  CHECK(Outcome(unlink("socket")) == "done");
  CHECK(OpenOutcome("socket", O_RDONLY) == "ENOENT");

  REQUIRE(Outcome(mkfifo("fifo", 0644)) == "done");
  CHECK(OpenOutcome("fifo", O_WRONLY | O_NONBLOCK) == "ENXIO");
  const UniqueFd reader = Open("fifo", O_RDONLY | O_NONBLOCK);
  const UniqueFd writer = Open("fifo", O_WRONLY | O_NONBLOCK);
  CHECK(write(writer.get(), "through", 7) == 7);
  char buffer[8] = {};
  CHECK(read(reader.get(), buffer, sizeof buffer) == 7);
  CHECK(std::string(buffer) == "through");
}

TEST_SUITE("slow") {
  TEST_CASE("a file has 65000 names, and no more") {
    MakeFile("file");
    for (int i = 1; i < 65'000; ++i) {
      REQUIRE(Outcome(link("file", ("l" + std::to_string(i)).c_str())) == "done");
    }
    CHECK(Stat("file").st_nlink == 65'000);
    CHECK(Outcome(link("file", "more")) == "EMLINK");
    CHECK(Outcome(unlink("l7")) == "done");
    CHECK(Outcome(link("file", "more")) == "done");
  }
}

}  // namespace
}  // namespace posix
