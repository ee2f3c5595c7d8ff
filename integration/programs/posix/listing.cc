// Reading directories.
#include <dirent.h>
#include <sys/wait.h>

#include <csignal>
#include <map>
#include <set>
#include <string>

#include "integration/programs/posix/posix.h"

namespace posix {
namespace {

class Stream {
 public:
  explicit Stream(const char* path) : stream_(opendir(path)) { REQUIRE(stream_ != nullptr); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { closedir(stream_); }
  const dirent* Next() { return readdir(stream_); }
  DIR* get() const { return stream_; }

 private:
  DIR* stream_;
};

TEST_CASE("a listing shows each name with its inode and type") {
  for (Kind kind : Kinds()) Make(kind, "node" + std::to_string(static_cast<int>(kind)));
  Stream stream(".");
  size_t dots = 0;
  size_t nodes = 0;
  while (const dirent* entry = stream.Next()) {
    const std::string name = entry->d_name;
    CAPTURE(name);
    const struct stat found = Stat(name);
    CHECK(entry->d_ino == found.st_ino);
    CHECK(entry->d_type == IFTODT(found.st_mode));
    ++(name == "." || name == ".." ? dots : nodes);
  }
  CHECK(dots == 2);
  CHECK(nodes == Kinds().size());
}

TEST_CASE("a listing goes on where telldir said, and from the beginning after rewinddir") {
  constexpr int kFiles = 700;
  for (int i = 0; i < kFiles; ++i) MakeFile("file" + std::to_string(i));
  Stream stream(".");
  std::vector<std::string> names;
  std::vector<long> places;
  for (;;) {
    places.push_back(telldir(stream.get()));
    const dirent* entry = stream.Next();
    if (entry == nullptr) break;
    names.emplace_back(entry->d_name);
  }
  REQUIRE(names.size() == kFiles + 2);
  for (size_t i = 0; i < names.size(); i += 97) {
    seekdir(stream.get(), places[i]);
    const dirent* entry = stream.Next();
    REQUIRE(entry != nullptr);
    CHECK(entry->d_name == names[i]);
  }
  MakeFile("new");
  rewinddir(stream.get());
  std::set<std::string> again;
  while (const dirent* entry = stream.Next()) again.insert(entry->d_name);
  CHECK(again.size() == names.size() + 1);
  CHECK(again.contains("new"));
}

TEST_CASE("names are removed while they are listed") {
  constexpr int kFiles = 800;
  CHECK(Outcome(mkdir("d", 0755)) == "done");
  for (int i = 0; i < kFiles; ++i) MakeFile("d/file" + std::to_string(i));
  {
    Stream stream("d");
    int removed = 0;
    while (const dirent* entry = stream.Next()) {
      if (entry->d_name[0] == '.') continue;
      if (unlinkat(dirfd(stream.get()), entry->d_name, 0) == 0) ++removed;
    }
    CHECK(removed == kFiles);
  }
  CHECK(Outcome(rmdir("d")) == "done");
}

TEST_CASE("a name that is there throughout is listed once, whatever else comes and goes") {
  constexpr int kStaying = 600, kRounds = 12;
  for (int i = 0; i < kStaying; ++i) MakeFile("staying" + std::to_string(i));
  const pid_t other = fork();
  if (other == 0) {
    for (unsigned i = 0;; ++i) {
      const std::string name = "passing" + std::to_string(i % 300);
      if (unlink(name.c_str()) != 0) close(open(name.c_str(), O_CREAT | O_WRONLY, 0644));
    }
  }
  int wrong = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::map<std::string, int> seen;
    Stream stream(".");
    while (const dirent* entry = stream.Next()) ++seen[entry->d_name];
    int staying = 0;
    for (const auto& [name, times] : seen) {
      if (times != 1) ++wrong;
      if (name.starts_with("staying")) ++staying;
    }
    if (staying != kStaying) ++wrong;
  }
  kill(other, SIGKILL);
  CHECK(waitpid(other, nullptr, 0) == other);
  CHECK(wrong == 0);
}

void CheckManyNames(int files) {
  CHECK(Outcome(mkdir("d", 0755)) == "done");
  const auto name = [](int i) { return "d/" + std::to_string(i); };
  for (int i = 0; i < files; ++i) {
    REQUIRE(Outcome(mknod(name(i).c_str(), S_IFREG | 0644, 0)) == "done");
  }
  const std::vector<std::string> names = Names("d");
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  CHECK(names.size() == static_cast<size_t>(files));
  for (int i = 0; i < files; i += 501) CHECK(Exists(name(i)));
  CHECK_FALSE(Exists(name(files)));
  CHECK(Outcome(rmdir("d")) == "ENOTEMPTY");
  for (int i = 0; i < files; ++i) REQUIRE(Outcome(unlink(name(i).c_str())) == "done");
  CHECK(Names("d").empty());
  CHECK(Outcome(rmdir("d")) == "done");
}

TEST_CASE("a directory of many names lists, finds and loses each") { CheckManyNames(2000); }

TEST_SUITE("slow") {
  TEST_CASE("a directory of 50,000 names lists, finds and loses each") { CheckManyNames(50'000); }
}

}  // namespace
}  // namespace posix
