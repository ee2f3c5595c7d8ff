// Who may do what, and what becomes of setuid and setgid bits. Root, who plays all the others.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "integration/programs/posix/posix.h"

namespace posix {
namespace {

void MakeFor(uid_t user, gid_t group, const std::string& path, mode_t mode,
             Kind kind = Kind::kFile) {
  Make(kind, path);
  REQUIRE(Outcome(lchown(path.c_str(), user, group)) == "done");
  if (kind != Kind::kSymlink) REQUIRE(Outcome(chmod(path.c_str(), mode)) == "done");
}

TEST_SUITE("root") {
  TEST_CASE("chmod is for the owner, and sets all twelve bits of every kind of node") {
    for (Kind kind : Kinds()) {
      if (kind == Kind::kSymlink) continue;
      CAPTURE(static_cast<int>(kind));
      MakeFor(kAlice, kStaff, "node", 0640, kind);
      {
        const As bob(kBob, kStaff);
        CHECK(Outcome(chmod("node", 0600)) == "EPERM");
      }
      const As alice(kAlice, kStaff);
      for (mode_t mode : {0000u, 0111u, 0751u, 01644u, 02755u, 04711u, 06755u, 07777u}) {
        CHECK(Outcome(chmod("node", mode)) == "done");
        CHECK(ModeOf("node") == mode);
      }
      CHECK(Outcome(std::remove("node")) == "done");
    }
  }

  TEST_CASE("chmod by an owner who is not of the group clears the setgid bit") {
    for (Kind kind : {Kind::kFile, Kind::kDirectory, Kind::kFifo}) {
      CAPTURE(static_cast<int>(kind));
      MakeFor(kAlice, kGuests, "node", 0755, kind);
      {
        const As alice(kAlice, kStaff);
        CHECK(Outcome(chmod("node", 02755)) == "done");
        CHECK(ModeOf("node") == 0755);
      }
      {
        const As alice(kAlice, kStaff, {kOthers, kGuests});
        CHECK(Outcome(chmod("node", 02755)) == "done");
        CHECK(ModeOf("node") == 02755);
      }
      CHECK(Outcome(chmod("node", 06755)) == "done");
      CHECK(ModeOf("node") == 06755);
      CHECK(Outcome(std::remove("node")) == "done");
    }
  }

  TEST_CASE("chown follows the rules for owners, groups and -1") {
    for (Kind kind : Kinds()) {
      CAPTURE(static_cast<int>(kind));
      MakeFor(kAlice, kStaff, "node", 0644, kind);
      {
        const As alice(kAlice, kStaff, {kGuests});
        CHECK(Outcome(lchown("node", kBob, static_cast<gid_t>(-1))) == "EPERM");
        CHECK(Outcome(lchown("node", static_cast<uid_t>(-1), kOthers)) == "EPERM");
        CHECK(Outcome(lchown("node", kAlice, kGuests)) == "done");
        CHECK(Stat("node").st_gid == kGuests);
        CHECK(Outcome(lchown("node", static_cast<uid_t>(-1), kStaff)) == "done");
        CHECK(Outcome(lchown("node", static_cast<uid_t>(-1), static_cast<gid_t>(-1))) == "done");
      }
      {
        const As bob(kBob, kStaff);
        CHECK(Outcome(lchown("node", kBob, kStaff)) == "EPERM");
        CHECK(Outcome(lchown("node", static_cast<uid_t>(-1), kStaff)) == "EPERM");
        CHECK(Outcome(lchown("node", static_cast<uid_t>(-1), static_cast<gid_t>(-1))) == "done");
      }
      CHECK(Stat("node").st_uid == kAlice);
      CHECK(Stat("node").st_gid == kStaff);
      CHECK(Outcome(lchown("node", kBob, static_cast<gid_t>(-1))) == "done");
      CHECK(Outcome(lchown("node", static_cast<uid_t>(-1), kOthers)) == "done");
      CHECK(Stat("node").st_uid == kBob);
      CHECK(Stat("node").st_gid == kOthers);
      CHECK(Outcome(std::remove("node")) == "done");
    }
  }

  TEST_CASE("chown follows a symbolic link, and lchown does not") {
    MakeFor(kAlice, kStaff, "file", 0644);
    CHECK(Outcome(symlink("file", "link")) == "done");
    CHECK(Outcome(chown("link", kBob, kGuests)) == "done");
    CHECK(Stat("file").st_uid == kBob);
    CHECK(Stat("link").st_uid == 0);
    CHECK(Outcome(lchown("link", kAlice, kStaff)) == "done");
    CHECK(Stat("file").st_uid == kBob);
    CHECK(Stat("link").st_uid == kAlice);
  }

  // What chown leaves of `mode`, when its owner and when root does it.
  void CheckChown(mode_t mode, mode_t by_owner, mode_t by_root, Kind kind) {
    CAPTURE(mode);
    CAPTURE(static_cast<int>(kind));
    MakeFor(kAlice, kStaff, "node", mode, kind);
    {
      const As alice(kAlice, kStaff, {kGuests});
      CHECK(Outcome(chown("node", static_cast<uid_t>(-1), kGuests)) == "done");
    }
    CHECK(ModeOf("node") == by_owner);
    CHECK(Outcome(chmod("node", mode)) == "done");
    CHECK(Outcome(chown("node", kBob, kStaff)) == "done");
    CHECK(ModeOf("node") == by_root);
    CHECK(Outcome(std::remove("node")) == "done");
  }

  TEST_CASE("chown clears the setuid and setgid bits of files, and not of directories") {
    CheckChown(06755, 0755, 0755, Kind::kFile);
    CheckChown(04644, 0644, 0644, Kind::kFile);
    CheckChown(02755, 0755, 0755, Kind::kFile);
    CheckChown(02644, 02644, 02644, Kind::kFile);  // not executable by its group
    CheckChown(01755, 01755, 01755, Kind::kFile);
    CheckChown(07755, 07755, 07755, Kind::kDirectory);
  }

  // Runs `change` on a file of mode 06777 as somebody else; the mode it leaves.
  mode_t AfterChangeBy(uid_t user, const std::function<void(int)>& change) {
    MakeFor(kAlice, kStaff, "file", 06777);
    {
      const UniqueFd whole = Open("file", O_RDWR);
      REQUIRE(Outcome(ftruncate(whole.get(), 10'000)) == "done");
    }
    REQUIRE(Outcome(chmod("file", 06777)) == "done");
    if (user == 0) {
      const UniqueFd file = Open("file", O_RDWR);
      change(file.get());
    } else {
      const As other(user, kOthers);
      const UniqueFd file = Open("file", O_RDWR);
      change(file.get());
    }
    const mode_t mode = ModeOf("file");
    CHECK(Outcome(unlink("file")) == "done");
    return mode;
  }

  TEST_CASE("a change of content by another user clears setuid and setgid") {
    const std::vector<std::function<void(int)>> changes = {
        [](int file) { CHECK(write(file, "x", 1) == 1); },
        [](int file) { CHECK(pwrite(file, "x", 1, 20'000) == 1); },
        [](int file) { CHECK(Outcome(ftruncate(file, 5)) == "done"); },
        [](int file) { CHECK(Outcome(ftruncate(file, 20'000)) == "done"); },
        [](int) { CHECK(Outcome(truncate("file", 7)) == "done"); },
        [](int) { CHECK(OpenOutcome("file", O_WRONLY | O_TRUNC) == "done"); },
        [](int file) { CHECK(Outcome(fallocate(file, 0, 0, 20'000)) == "done"); },
        [](int file) {
          CHECK(Outcome(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5000)) ==
                "done");
        },
    };
    for (size_t i = 0; i < changes.size(); ++i) {
      CAPTURE(i);
      CHECK(AfterChangeBy(kBob, changes[i]) == 0777);
      CHECK(AfterChangeBy(kAlice, changes[i]) == 0777);
      CHECK(AfterChangeBy(0, changes[i]) == 06777);
    }
  }

  TEST_CASE("new nodes belong to who makes them, with the umask taken off") {
    const As alice(kAlice, kStaff, {kGuests});
    const Umask mask(027);
    CHECK(Outcome(mkdir("directory", 01777)) == "done");
    CHECK(ModeOf("directory") == 01750);
    CHECK(OpenOutcome("file", O_CREAT | O_WRONLY, 06777) == "done");
    CHECK(ModeOf("file") == 06750);
    CHECK(Outcome(mkfifo("fifo", 0666)) == "done");
    CHECK(ModeOf("fifo") == 0640);
    CHECK(Outcome(mknod("socket", S_IFSOCK | 0777, 0)) == "done");
    CHECK(ModeOf("socket") == 0750);
    CHECK(Outcome(mknod("node", S_IFREG | 0666, 0)) == "done");
    CHECK(ModeOf("node") == 0640);
    CHECK(Outcome(symlink("x", "link")) == "done");
    CHECK(ModeOf("link") == 0777);
    for (const std::string& name : Names(".")) {
      CAPTURE(name);
      CHECK(Stat(name).st_uid == kAlice);
      CHECK(Stat(name).st_gid == kStaff);
    }
    CHECK(Outcome(mknod("device", S_IFCHR | 0600, 0x103)) == "EPERM");
    CHECK(Outcome(mknod("device", S_IFBLK | 0600, 0x103)) == "EPERM");
  }

  TEST_CASE("a setgid directory gives its group to what is made in it") {
    MakeFor(kBob, kGuests, "shared", 02777, Kind::kDirectory);
    const As alice(kAlice, kStaff);
    CHECK(Outcome(mkdir("shared/directory", 0755)) == "done");
    CHECK(ModeOf("shared/directory") == 02755);
    CHECK(OpenOutcome("shared/plain", O_CREAT | O_WRONLY, 02644) == "done");
    CHECK(ModeOf("shared/plain") == 02644);
    // Alice is not of the group: a program of hers must not run with it.
    CHECK(OpenOutcome("shared/program", O_CREAT | O_WRONLY, 02755) == "done");
    CHECK(ModeOf("shared/program") == 0755);
    CHECK(Outcome(mkfifo("shared/fifo", 0644)) == "done");
    CHECK(Outcome(symlink("x", "shared/link")) == "done");
    CHECK(Outcome(mkdir("shared/directory/below", 0700)) == "done");
    CHECK(ModeOf("shared/directory/below") == 02700);
    for (const std::string& name : Names("shared")) {
      CAPTURE(name);
      CHECK(Stat("shared/" + name).st_gid == kGuests);
      CHECK(Stat("shared/" + name).st_uid == kAlice);
    }
  }

  TEST_CASE("opening takes the permission of the first class that matches") {
    struct {
      uid_t user;
      gid_t group;
      std::vector<gid_t> others;
      int shift;  // of the class's bits in the mode
    } const callers[] = {{kAlice, kGuests, {}, 6},
                         {kBob, kStaff, {}, 3},
                         {kBob, kGuests, {kOthers, kStaff}, 3},
                         {kBob, kGuests, {kOthers}, 0}};
    for (const auto& caller : callers) {
      for (mode_t bits = 0; bits < 8; ++bits) {
        const mode_t mode = (0777 & ~(7u << caller.shift)) | (bits << caller.shift);
        CAPTURE(mode);
        MakeFor(kAlice, kStaff, "file", mode);
        {
          const As who(caller.user, caller.group, caller.others);
          const auto expected = [&](mode_t wanted) {
            return (bits & wanted) == wanted ? "done" : "EACCES";
          };
          CHECK(OpenOutcome("file", O_RDONLY) == expected(4));
          CHECK(OpenOutcome("file", O_WRONLY) == expected(2));
          CHECK(OpenOutcome("file", O_RDWR) == expected(6));
          CHECK(OpenOutcome("file", O_RDONLY | O_TRUNC) == expected(6));
          CHECK(Outcome(truncate("file", 3)) == expected(2));
          CHECK(Outcome(faccessat(AT_FDCWD, "file", X_OK, AT_EACCESS)) == expected(1));
        }
        CHECK(Outcome(unlink("file")) == "done");
      }
    }
  }

  TEST_CASE("without search permission nothing below a directory can be reached") {
    MakeFor(kBob, kStaff, "closed", 0777, Kind::kDirectory);
    MakeFile("closed/file");
    MakeFile("file");
    CHECK(Outcome(mkdir("closed/directory", 0777)) == "done");
    CHECK(Outcome(chmod("closed", 0666)) == "done");
    CHECK(Outcome(chmod("file", 0777)) == "done");
    struct stat found {};
    const As alice(kAlice, kGuests);
    CHECK(Outcome(stat("closed/file", &found)) == "EACCES");
    CHECK(OpenOutcome("closed/file", O_RDONLY) == "EACCES");
    CHECK(OpenOutcome("closed/new", O_CREAT | O_WRONLY) == "EACCES");
    CHECK(Outcome(mkdir("closed/new", 0755)) == "EACCES");
    CHECK(Outcome(mkfifo("closed/new", 0755)) == "EACCES");
    CHECK(Outcome(symlink("x", "closed/new")) == "EACCES");
    CHECK(Outcome(unlink("closed/file")) == "EACCES");
    CHECK(Outcome(rmdir("closed/directory")) == "EACCES");
    CHECK(Outcome(link("closed/file", "new")) == "EACCES");
    CHECK(Outcome(rename("closed/file", "new")) == "EACCES");
    CHECK(Outcome(rename("file", "closed/new")) == "EACCES");
    CHECK(Outcome(chmod("closed/file", 0600)) == "EACCES");
    CHECK(Outcome(chown("closed/file", kAlice, kGuests)) == "EACCES");
    CHECK(Outcome(truncate("closed/file", 0)) == "EACCES");
    CHECK(Outcome(utimensat(AT_FDCWD, "closed/file", nullptr, 0)) == "EACCES");
    CHECK(Outcome(chdir("closed")) == "EACCES");
    CHECK(Names("closed").size() == 2);  // reading the names is another permission
  }

  TEST_CASE("without write permission the names of a directory cannot be changed") {
    MakeFor(kBob, kStaff, "closed", 0777, Kind::kDirectory);
    MakeFor(kAlice, kGuests, "closed/file", 0666);
    MakeFor(kAlice, kGuests, "file", 0666);
    MakeFor(kAlice, kGuests, "closed/directory", 0777, Kind::kDirectory);
    CHECK(Outcome(chmod("closed", 0555)) == "done");
    const As alice(kAlice, kGuests);
    CHECK(OpenOutcome("closed/new", O_CREAT | O_WRONLY) == "EACCES");
    CHECK(OpenOutcome("closed/file", O_CREAT | O_WRONLY) == "done");
    CHECK(Outcome(mkdir("closed/new", 0755)) == "EACCES");
    CHECK(Outcome(mkfifo("closed/new", 0755)) == "EACCES");
    CHECK(Outcome(symlink("x", "closed/new")) == "EACCES");
    CHECK(Outcome(unlink("closed/file")) == "EACCES");
    CHECK(Outcome(rmdir("closed/directory")) == "EACCES");
    CHECK(Outcome(link("file", "closed/new")) == "EACCES");
    CHECK(Outcome(rename("closed/file", "new")) == "EACCES");
    CHECK(Outcome(rename("file", "closed/new")) == "EACCES");
    CHECK(Outcome(mkdir("closed/file", 0755)) == "EEXIST");
  }

  TEST_CASE("moving a directory elsewhere needs write permission on itself") {
    MakeFor(kBob, kStaff, "directory", 0555, Kind::kDirectory);
    MakeFor(kAlice, kStaff, "there", 0777, Kind::kDirectory);
    const As alice(kAlice, kGuests);
    CHECK(Outcome(rename("directory", "there/directory")) == "EACCES");
    CHECK(Outcome(rename("directory", "renamed")) == "done");
  }

  TEST_CASE("in a sticky directory names go only with their owner, or the directory's") {
    MakeFor(kBob, kGuests, "sticky", 01777, Kind::kDirectory);
    for (Kind kind : Kinds()) {
      CAPTURE(static_cast<int>(kind));
      const auto remove = [&](const char* name) { return Outcome(std::remove(name)); };
      MakeFor(kAlice, kStaff, "sticky/hers", 0777, kind);
      MakeFor(kBob, kStaff, "sticky/his", 0777, kind);
      {
        const As alice(kAlice, kStaff);
        CHECK(remove("sticky/his") == "EPERM");
        CHECK(Outcome(rename("sticky/his", "sticky/other")) == "EPERM");
        CHECK(Outcome(rename("sticky/his", "out")) == "EPERM");
        CHECK(Outcome(rename("sticky/hers", "sticky/his")) == "EPERM");
        CHECK(Outcome(renameat2(AT_FDCWD, "sticky/hers", AT_FDCWD, "sticky/his",
                                RENAME_EXCHANGE)) == "EPERM");
        CHECK(Outcome(rename("sticky/hers", "sticky/hers2")) == "done");
        CHECK(remove("sticky/hers2") == "done");
      }
      MakeFor(kAlice, kStaff, "sticky/hers", 0777, kind);
      const As bob(kBob, kGuests);
      CHECK(remove("sticky/hers") == "done");  // the directory is his
      CHECK(remove("sticky/his") == "done");
    }
  }

  TEST_CASE("times are set to now by who may write, and to anything by the owner") {
    MakeFor(kAlice, kStaff, "file", 0624);
    const timespec set[2] = {{.tv_sec = 1000, .tv_nsec = 1}, {.tv_sec = 2000, .tv_nsec = 2}};
    const timespec now[2] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW},
                             {.tv_sec = 0, .tv_nsec = UTIME_NOW}};
    const timespec one[2] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW},
                             {.tv_sec = 0, .tv_nsec = UTIME_OMIT}};
    const timespec none[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                              {.tv_sec = 0, .tv_nsec = UTIME_OMIT}};
    const auto times = [](const timespec* to) {
      return Outcome(utimensat(AT_FDCWD, "file", to, 0));
    };
    {
      const As writer(kBob, kStaff);
      CHECK(times(set) == "EPERM");
      CHECK(times(one) == "EPERM");
      CHECK(times(now) == "done");
      CHECK(times(nullptr) == "done");
      CHECK(times(none) == "done");
    }
    {
      const As reader(kBob, kGuests);
      CHECK(times(set) == "EPERM");
      CHECK(times(now) == "EACCES");
      CHECK(times(nullptr) == "EACCES");
      CHECK(times(none) == "done");
    }
    const As alice(kAlice, kGuests);
    CHECK(times(set) == "done");
    CHECK(times(one) == "done");
    CHECK(Stat("file").st_mtim.tv_sec == 2000);
  }

  TEST_CASE("what is open stays usable when the permission has gone") {
    MakeFor(kAlice, kStaff, "file", 0644);
    const As alice(kAlice, kStaff);
    const UniqueFd file = Open("file", O_RDWR);
    CHECK(Outcome(chmod("file", 0)) == "done");
    CHECK(OpenOutcome("file", O_RDONLY) == "EACCES");
    CHECK(write(file.get(), "more", 4) == 4);
    CHECK(Outcome(ftruncate(file.get(), 2)) == "done");
    const UniqueFd made = Open("made", O_CREAT | O_RDWR, 0);
    CHECK(write(made.get(), "content", 7) == 7);
  }
}

}  // namespace
}  // namespace posix
