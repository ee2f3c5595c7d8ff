#include <algorithm>
#include <random>
#include <set>

#include "tests/random.h"
#include "tests/store/hooked_storage.h"
#include "tests/store/store_fixture.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/state_verbs.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::store {
namespace {

using namespace test;
using layer::Branch;
using layer::FileDifference;
using Change = FileDifference::Change;

// A file as a whole walk through a branch finds it.
struct Found {
  layer::Attributes attributes;
  std::string content;  // or a link's target
};
using Files = std::map<std::string, Found>;

void Walk(Branch& branch, InodeNumber directory, const std::string& prefix, Files* files,
          std::vector<std::string>* directories) {
  directories->push_back(prefix);
  std::vector<std::pair<std::string, layer::Attributes>> entries;
  const Status listed = branch.List(
      directory, {},
      [&](layer::DirectoryCookie, const std::string& name, const layer::Attributes& attributes) {
        if (name != "." && name != "..") entries.emplace_back(name, attributes);
        return true;
      });
  REQUIRE_MESSAGE(listed.ok(), listed.message());
  for (const auto& [name, attributes] : entries) {
    if (S_ISDIR(attributes.mode)) {
      Walk(branch, attributes.ino, prefix + name + "/", files, directories);
    } else if (S_ISLNK(attributes.mode)) {
      (*files)[prefix + name] = {attributes, *branch.ReadLink(attributes.ino)};
    } else {
      (*files)[prefix + name] = {attributes, ReadBranchFile(branch, attributes)};
    }
  }
}

void CountPages(const std::string& a, const std::string& b, FileDifference* difference) {
  const auto page = [](const std::string& text, size_t at) {
    return at < text.size() ? std::string_view(text).substr(at, kPageBytes) : std::string_view();
  };
  for (size_t at = 0; at < std::max(a.size(), b.size()); at += kPageBytes) {
    if (page(a, at) == page(b, at)) continue;
    ++difference->pages_changed;
    difference->bytes_changed += std::max(page(a, at).size(), page(b, at).size());
  }
}

std::string Content(const Found& file) {
  return S_ISREG(file.attributes.mode) ? file.content : std::string();
}

// What Diff has to find, from the bytes of both trees.
std::vector<FileDifference> ExpectedChange(const Files& a, const Files& b) {
  std::multimap<InodeNumber, std::string> left;
  for (const auto& [path, file] : a) {
    if (!b.contains(path)) left.emplace(file.attributes.ino, path);
  }
  std::vector<FileDifference> expected;
  for (const auto& [path, file] : b) {
    FileDifference difference;
    difference.path = path;
    difference.size_bytes = Content(file).size();
    auto before = a.find(path);
    if (const auto renamed = left.lower_bound(file.attributes.ino);
        before == a.end() && renamed != left.end() && renamed->first == file.attributes.ino) {
      before = a.find(renamed->second);
      difference.from = renamed->second;
      left.erase(renamed);
    }
    CountPages(before == a.end() ? "" : Content(before->second), Content(file), &difference);
    if (before == a.end()) {
      difference.change = Change::kAdded;
    } else if (!difference.from.empty()) {
      difference.change = Change::kRenamed;
    } else {
      const layer::Attributes& now = file.attributes;
      const layer::Attributes& then = before->second.attributes;
      if (file.content == before->second.content && (now.mode & S_IFMT) == (then.mode & S_IFMT)) {
        if (now.mode == then.mode && now.uid == then.uid && now.gid == then.gid) continue;
        difference.change = Change::kAttributes;
      }
    }
    expected.push_back(difference);
  }
  for (const auto& [ino, path] : left) {
    FileDifference difference;
    difference.change = Change::kRemoved;
    difference.path = path;
    difference.size_bytes = Content(a.at(path)).size();
    CountPages(Content(a.at(path)), "", &difference);
    expected.push_back(difference);
  }
  std::sort(expected.begin(), expected.end(),
            [](const auto& one, const auto& other) { return one.path < other.path; });
  return expected;
}

std::vector<std::string> InWords(const std::vector<FileDifference>& differences) {
  static const char* const kNames[] = {"added", "removed", "modified", "renamed", "attributes"};
  std::vector<std::string> lines;
  for (const FileDifference& one : differences) {
    lines.push_back(std::string(kNames[static_cast<size_t>(one.change)]) + " " + one.path + " <" +
                    one.from + "> pages " + std::to_string(one.pages_changed) + " bytes " +
                    std::to_string(one.bytes_changed) + " size " + std::to_string(one.size_bytes));
  }
  return lines;
}

using Lines = std::vector<std::string>;

struct DiffFixture : StoreFixture {
  std::vector<FileDifference> Diff(const std::string& a, const std::string& b) {
    auto differences = store->states().Diff(a, b);
    REQUIRE_MESSAGE(differences.ok(), differences.status().message());
    return *std::move(differences);
  }
  Lines DiffLines(const std::string& a, const std::string& b) { return InWords(Diff(a, b)); }
  std::shared_ptr<Branch> Open(const std::string& name) {
    auto branch = store->volume().Open(name);
    REQUIRE(branch.ok());
    return *branch;
  }
  InodeNumber Find(Branch& branch, const std::string& path) {
    InodeNumber ino = branch.root();
    for (const fs::path& name : fs::path(path)) {
      const auto found = branch.Lookup(ino, name.string());
      REQUIRE_MESSAGE(found.ok(), path);
      ino = found->ino;
    }
    return ino;
  }
  void Write(const std::string& name, const std::string& path, uint64_t at,
             const std::string& text) {
    const auto branch = Open(name);
    const Status written = branch->Write(Find(*branch, path), at, std::as_bytes(std::span(text)));
    REQUIRE_MESSAGE(written.ok(), written.message());
  }
  Files FilesOf(const std::string& source) {
    std::string name = source;
    if (source.find('@') != std::string::npos) Clone(source, name = "of-bookmark");
    const auto branch = Open(name);
    Files files;
    std::vector<std::string> directories;
    Walk(*branch, branch->root(), "", &files, &directories);
    if (name != source) REQUIRE(store->trash().Delete(caller, name, {.purge = true}).ok());
    return files;
  }
  void CheckDiff(const std::string& a, const std::string& b) {
    CAPTURE(a);
    CAPTURE(b);
    const Lines found = DiffLines(a, b);
    const Lines expected = InWords(ExpectedChange(FilesOf(a), FilesOf(b)));
    for (size_t i = 0; i < std::max(found.size(), expected.size()); ++i) {
      REQUIRE((i < found.size() ? found[i] : "") == (i < expected.size() ? expected[i] : ""));
    }
  }
};

TEST_CASE_FIXTURE(DiffFixture, "a branch does not differ from itself, its clone or its bookmark") {
  Import("main");
  Clone("main", "dev");
  REQUIRE(store->bookmarks().Create(caller, "main@then", "").ok());
  CHECK(Diff("main", "main").empty());
  CHECK(Diff("main", "dev").empty());
  CHECK(Diff("main@then", "dev").empty());
}

TEST_CASE_FIXTURE(DiffFixture, "pages count when they differ, not when they were written") {
  Import("main");
  Clone("main", "a");
  Clone("main", "b");
  const std::string before = Noise(200'000, 2);
  Write("a", "base/5/1259", 5 * kPageBytes, before.substr(5 * kPageBytes, 2 * kPageBytes));
  CHECK(Diff("a", "b").empty());
  Write("a", "base/5/1259", 10 * kPageBytes + 17, "the same on both");
  Write("b", "base/5/1259", 10 * kPageBytes + 17, "the same on both");
  CHECK(Diff("a", "b").empty());
  Write("b", "base/5/1259", 12 * kPageBytes - 1, "xy");
  CHECK(DiffLines("a", "b") == Lines{"modified base/5/1259 <> pages 2 bytes 16384 size 200000"});
  CHECK(DiffLines("main", "b") == Lines{"modified base/5/1259 <> pages 3 bytes 24576 size 200000"});
}

TEST_CASE_FIXTURE(DiffFixture, "what differs is seen from both sides") {
  Import("main");
  Clone("main", "dev");
  const auto dev = Open("dev");
  const InodeNumber base = Find(*dev, "base/5");
  REQUIRE(dev->Make(base, "new", {.mode = S_IFREG | 0600}).ok());
  Write("dev", "base/5/new", 0, std::string(10'000, 'n'));
  REQUIRE(dev->Rename(base, "1259", base, "2000", layer::RenameMode::kReplace).ok());
  REQUIRE(dev->Unlink(dev->root(), "PG_VERSION").ok());
  REQUIRE(dev->Set(Find(*dev, "global/pg_control"), {.mode = 0640}).ok());
  CHECK(DiffLines("main", "dev") ==
        Lines{"removed PG_VERSION <> pages 1 bytes 3 size 3",
              "renamed base/5/2000 <base/5/1259> pages 0 bytes 0 size 200000",
              "added base/5/new <> pages 2 bytes 10000 size 10000",
              "attributes global/pg_control <> pages 0 bytes 0 size 8192"});
  CHECK(DiffLines("dev", "main") ==
        Lines{"added PG_VERSION <> pages 1 bytes 3 size 3",
              "renamed base/5/1259 <base/5/2000> pages 0 bytes 0 size 200000",
              "removed base/5/new <> pages 2 bytes 10000 size 10000",
              "attributes global/pg_control <> pages 0 bytes 0 size 8192"});
}

TEST_CASE_FIXTURE(DiffFixture, "a renamed directory renames what is in it") {
  Import("main");
  Clone("main", "dev");
  const auto dev = Open("dev");
  REQUIRE(dev->Rename(dev->root(), "base", dev->root(), "moved", layer::RenameMode::kReplace).ok());
  CHECK(DiffLines("main", "dev") ==
        Lines{"renamed moved/5/1259 <base/5/1259> pages 0 bytes 0 size 200000"});
}

TEST_CASE_FIXTURE(DiffFixture, "a file renamed to what was an empty directory's name is found") {
  Import("main");
  const auto main = Open("main");
  REQUIRE(main->Make(main->root(), "place", {.mode = S_IFDIR | 0700}).ok());
  Clone("main", "dev");
  const auto dev = Open("dev");
  REQUIRE(dev->RemoveDirectory(dev->root(), "place").ok());
  REQUIRE(dev->Rename(dev->root(), "PG_VERSION", dev->root(), "place", layer::RenameMode::kReplace)
              .ok());
  CHECK(DiffLines("main", "dev") == Lines{"renamed place <PG_VERSION> pages 0 bytes 0 size 3"});
}

TEST_CASE_FIXTURE(DiffFixture, "imports are compared by their chunks") {
  WriteHostFile(data + "/base/5/gone", Noise(100'000, 7));
  Import("monday");
  std::string table = Noise(200'000, 2);
  table[70'000] ^= 1;
  table += "and a few bytes more";
  WriteHostFile(data + "/base/5/1259", table);
  WriteHostFile(data + "/base/5/new", Noise(3 * kChunkBytes, 8));
  fs::remove(data + "/base/5/gone");
  Import("tuesday");
  CHECK(DiffLines("monday", "tuesday") ==
        Lines{"modified base/5/1259 <> pages 2 bytes 11604 size 200020",
              "removed base/5/gone <> pages 13 bytes 100000 size 100000",
              "added base/5/new <> pages 24 bytes 196608 size 196608"});
  CheckDiff("tuesday", "monday");
}

TEST_CASE_FIXTURE(DiffFixture, "equal content is not read, whatever has been written elsewhere") {
  WriteHostFile(data + "/base/5/big", Noise(20 * kChunkBytes, 3));
  Import("main");
  Import("again");
  Clone("main", "dev");
  const auto dev = Open("dev");
  REQUIRE(dev->Make(dev->root(), "new", {.mode = S_IFREG | 0600}).ok());
  Write("dev", "new", 0, "new");
  Write("dev", "base/5/big", 20 * kChunkBytes, "a page at its end");
  REQUIRE(store->Close().ok());

  int packs_opened = 0;
  HookedStorage storage([&](const std::string& path) {
    packs_opened += path.ends_with(".pack");
    return Status();
  });
  Reopen(storage);
  CHECK(Diff("main", "dev").size() == 2);
  CHECK(Diff("main", "again").empty());
  CHECK(packs_opened == 0);
  Write("dev", "base/5/big", 0, "a page that has to be compared");
  CHECK(Diff("main", "dev").size() == 2);
  CHECK(packs_opened == 1);
  store.reset();
}

TEST_CASE_FIXTURE(DiffFixture, "what is not there is said to be not there") {
  Import("main");
  CHECK(store->states().Diff("main", "none").status().code() == Code::kNotFound);
  CHECK(store->states().Diff("none", "main").status().code() == Code::kNotFound);
  CHECK(store->states().Diff("main@none", "main").status().code() == Code::kNotFound);
  CHECK(store->states().Diff("main", "No Name").status().code() == Code::kUsage);
  CheckMessage(store->states().Diff("main", "main@none").status(),
               "cannot compare \"main\" with \"main@none\": there is no bookmark \"main@none\"");
}

// Random changes to branches, clones, bookmarks; Diff must find what the bytes say.
class RandomStore : public DiffFixture {
 public:
  explicit RandomStore(unsigned seed) : random_(seed) {
    WriteHostFile(data + "/base/5/big", Noise(3 * kChunkBytes + 5'000, 3));
    WriteHostFile(data + "/base/5/odd", Noise(kPageBytes + 100, 4));
    WriteHostFile(data + "/base/5/zeros", std::string(2 * kChunkBytes, '\0'));
    WriteHostFile(data + "/base/6/other", Noise(kChunkBytes, 5));
    fs::create_symlink("5/odd", data + "/base/link");
    Import("main");
    WriteHostFile(data + "/base/6/other", Noise(kChunkBytes, 5) + "more");
    WriteHostFile(data + "/base/5/zeros", std::string(kChunkBytes, '\0') + Noise(100, 6));
    Import("again");
    sources_ = {"main", "again"};
    branches_ = {"main", "again"};
  }

  void Step() {
    const std::string name = branches_[Pick(branches_.size())];
    switch (Pick(14)) {
      case 0:
        if (branches_.size() >= 6) return;
        branches_.push_back("branch-" + std::to_string(++count_));
        sources_.push_back(branches_.back());
        return Clone(sources_[Pick(sources_.size() - 1)], branches_.back());
      case 1:
        if (sources_.size() >= 10) return;
        sources_.push_back(name + "@mark-" + std::to_string(++count_));
        REQUIRE(store->bookmarks().Create(caller, sources_.back(), "").ok());
        return;
      case 2:
        if (Pick(3) > 0) return;
        REQUIRE(store->Close().ok());
        return Reopen();
      default:
        return ChangeFiles(name);
    }
  }
  void Check() { CheckDiff(sources_[Pick(sources_.size())], sources_[Pick(sources_.size())]); }

 private:
  size_t Pick(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }

  void ChangeFiles(const std::string& name) {
    const auto branch = Open(name);
    Files files;
    std::vector<std::string> directories;
    Walk(*branch, branch->root(), "", &files, &directories);
    if (files.empty()) return;
    const auto picked = std::next(files.begin(), static_cast<std::ptrdiff_t>(Pick(files.size())));
    const std::string path = picked->first;
    const InodeNumber ino = picked->second.attributes.ino;
    const size_t slash = path.rfind('/');
    const InodeNumber in =
        slash == std::string::npos ? branch->root() : Find(*branch, path.substr(0, slash));
    const std::string base = path.substr(slash == std::string::npos ? 0 : slash + 1);
    const std::string to_path = directories[Pick(directories.size())];
    const InodeNumber to = Find(*branch, to_path.substr(0, to_path.find_last_of('/')));
    const std::string fresh = "name-" + std::to_string(Pick(12));
    const bool is_file = S_ISREG(picked->second.attributes.mode);
    // Any of these may be refused, by a name that exists or a directory that is not empty.
    Status done;
    switch (Pick(13)) {
      case 0:
        done = branch->Make(to, fresh, {.mode = S_IFREG | 0600}).status();
        break;
      case 1:
        done = branch->Make(to, fresh, {.mode = S_IFDIR | 0700}).status();
        break;
      case 2:
        done = branch->Make(to, fresh, {.mode = S_IFLNK | 0777, .target = "x"}).status();
        break;
      case 3:
        done = branch->Unlink(in, base);
        break;
      case 4:
        done = branch->Rename(in, base, to, fresh, layer::RenameMode::kReplace);
        break;
      case 5:
        done = branch->Link(ino, to, fresh).status();
        break;
      case 6:
        done = branch->Set(ino, {.mode = static_cast<uint32_t>(0600 + Pick(2))}).status();
        break;
      case 7:
        if (directories.size() > 1) RenameDirectory(*branch, directories, to, fresh);
        break;
      case 8:
        if (is_file) done = branch->Set(ino, {.size_bytes = Pick(4 * kChunkBytes)}).status();
        break;
      case 9:
        if (is_file) done = branch->Zero(ino, {Pick(kChunkBytes), 1 + Pick(30'000)}, Pick(2) == 0);
        break;
      default:
        // Few places and few texts, so that equal pages are written on several branches.
        if (is_file) {
          const std::string text = Noise(1 + Pick(3) * kPageBytes, Pick(3));
          done = branch->Write(ino, Pick(20) * (kPageBytes / 2), std::as_bytes(std::span(text)));
        }
    }
    (void)done;
  }

  void RenameDirectory(Branch& branch, const std::vector<std::string>& directories, InodeNumber to,
                       const std::string& fresh) {
    const fs::path moved = directories[1 + Pick(directories.size() - 1)];
    const fs::path path = moved.parent_path();
    (void)branch.Rename(Find(branch, path.parent_path().string()), path.filename().string(), to,
                        fresh, layer::RenameMode::kReplace);
  }

  std::mt19937 random_;
  std::vector<std::string> branches_;
  std::vector<std::string> sources_;
  int count_ = 0;
};

TEST_CASE("a diff finds what comparing all bytes finds") {
  const unsigned seed = Seed();
  const unsigned long steps = FromEnvironment("VELAFS_STEPS", 1500);
  MESSAGE("replay with VELAFS_SEED=", seed, " VELAFS_STEPS=", steps);
  RandomStore random_store(seed);
  for (unsigned long step = 0; step < steps; ++step) {
    INFO("VELAFS_SEED=", seed, " step ", step);
    random_store.Step();
    if (step % 10 == 0) random_store.Check();
  }
}

TEST_CASE_FIXTURE(DiffFixture, "holes are not compared, however large they are") {
  constexpr uint64_t kSize = uint64_t{15} << 40;
  const std::string host_file = data + "/base/5/imported";
  WriteHostFile(host_file, "first");
  fs::resize_file(host_file, kSize);
  Import("main");
  WriteHostFile(host_file, "other");
  fs::resize_file(host_file, kSize);
  Import("again");
  CHECK(DiffLines("main", "again") ==
        Lines{"modified base/5/imported <> pages 1 bytes 8192 size " + std::to_string(kSize)});

  Clone("main", "dev");
  for (const char* name : {"main", "dev"}) {
    const auto branch = Open(name);
    REQUIRE(branch->Make(Find(*branch, "base/5"), "sparse", {.mode = S_IFREG | 0600}).ok());
    Write(name, "base/5/sparse", kSize - 1, "z");
  }
  CHECK(Diff("main", "dev").empty());
  Write("dev", "base/5/sparse", kSize / 2 - 1, "mm");
  CHECK(DiffLines("main", "dev") ==
        Lines{"modified base/5/sparse <> pages 2 bytes 16384 size " + std::to_string(kSize)});
}

TEST_CASE_FIXTURE(DiffFixture, "a comparison ends when its caller has gone") {
  Import("main");
  Clone("main", "dev");
  Write("dev", "base/5/1259", 0, "other");
  CheckMessage(store->states().Diff("main", "dev", [] { return false; }).status(),
               "cannot compare \"main\" with \"dev\": comparing was stopped");
}

}  // namespace
}  // namespace velafs::store
