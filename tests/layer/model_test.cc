// Random operations on several branches, against files that are plain strings.
//
// VELAFS_SEED replays a run, VELAFS_STEPS makes it longer; every failure prints its seed and step.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/layer/volume_fixture.h"

namespace velafs::layer {
namespace {

constexpr size_t kMaxFileBytes = 300'000;
constexpr size_t kMaxBranches = 8;
constexpr size_t kMaxFiles = 8;

// A file as it should be, and every state it has had since it was last made durable: a crash may
// leave any page in any of those, but in no other.
struct ModelFile {
  std::string content;
  std::vector<std::string> since_sync;
};
using ModelBranch = std::map<std::string, ModelFile>;

class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {
    std::map<std::string, std::string> source;
    for (int i = 0; i < 4; ++i)
      source["file" + std::to_string(i)] = RandomText(Pick(kMaxFileBytes));
    source["holes"] = std::string(200'000, '\0') + RandomText(5'000);
    fixture_.MakeSource("main", source);
    for (const auto& [name, content] : source) branches_["main"][name] = Durable(content);
  }

  void Step() {
    const auto [name, branch] = PickBranch();
    switch (Pick(24)) {
      case 0:
        return Clone(name);
      case 1:
        return Remove(name);
      case 2:
        return Create(name);
      case 3:
        return Unlink(name);
      case 4:
        return Rename(name);
      case 5:
      case 6:
        return Sync(name);
      case 7:
        return Reopen();
      case 8:
        return Crash();
      case 9:
      case 10:
        return Truncate(name);
      case 11:
        return Allocate(name);
      case 12:
      case 13:
        return Zero(name);
      case 14:
        return CheckBranch(name);
      default:
        return Write(name);
    }
  }

  void CheckAll() {
    for (const auto& [name, branch] : branches_) CheckBranch(name);
  }

 private:
  static ModelFile Durable(std::string content) { return {content, {content}}; }
  size_t Pick(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }

  std::string RandomText(size_t length) {
    std::string text(length, '\0');
    if (Pick(8) == 0) return text;  // zeros are content too
    for (size_t i = 0; i < length; i += 16) text[i] = static_cast<char>('a' + Pick(26));
    return text;
  }
  // A position that falls on page and chunk borders often.
  size_t Position(size_t limit) {
    const size_t at = Pick(limit + 1);
    if (Pick(3) > 0) return at;
    const size_t unit = Pick(2) == 0 ? kPageBytes : kChunkBytes;
    return std::min(limit, at / unit * unit);
  }

  std::map<std::string, ModelBranch>::reference PickBranch() {
    return *std::next(branches_.begin(), static_cast<ptrdiff_t>(Pick(branches_.size())));
  }
  ModelBranch::iterator PickFile(const std::string& branch) {
    ModelBranch& files = branches_[branch];
    if (files.empty()) return files.end();
    return std::next(files.begin(), static_cast<ptrdiff_t>(Pick(files.size())));
  }
  Branch& Open(const std::string& branch) {
    open_ = fixture_.Open(branch);
    return *open_;
  }
  static void Changed(ModelFile& file, std::string content) {
    file.content = std::move(content);
    file.since_sync.push_back(file.content);
  }

  void Clone(const std::string& source) {
    if (branches_.size() >= kMaxBranches) return;
    const std::string name = "clone" + std::to_string(next_name_++);
    REQUIRE(fixture_.Clone(source, name).ok());
    // What a freeze has seen is durable.
    for (auto& [file, state] : branches_[source]) state.since_sync = {state.content};
    branches_[name] = branches_[source];
  }

  void Remove(const std::string& name) {
    if (branches_.size() < 2 || Pick(3) > 0) return;
    const std::string doomed = name;
    REQUIRE(fixture_.volume().Remove(doomed, [](catalog::Writer&) { return Status(); }).ok());
    CHECK_FALSE(fixture_.volume().Open(doomed).ok());
    branches_.erase(doomed);
  }

  void Create(const std::string& branch) {
    if (branches_[branch].size() >= kMaxFiles) return;
    // Sometimes a name that was there before.
    const std::string name = "file" + std::to_string(Pick(2 * kMaxFiles));
    const auto made = Open(branch).Make(Open(branch).root(), name, {.mode = 0100600});
    if (branches_[branch].contains(name)) {
      CHECK(made.status().error_number() == EEXIST);
      return;
    }
    REQUIRE(made.ok());
    branches_[branch][name] = Durable("");
  }

  void Unlink(const std::string& branch) {
    const auto file = PickFile(branch);
    if (file == branches_[branch].end() || Pick(2) == 0) return;
    REQUIRE(Open(branch).Unlink(open_->root(), file->first).ok());
    branches_[branch].erase(file);
  }

  void Rename(const std::string& branch) {
    const auto from = PickFile(branch);
    if (from == branches_[branch].end()) return;
    const std::string to = "file" + std::to_string(Pick(2 * kMaxFiles));
    if (to == from->first) return;
    REQUIRE(Open(branch)
                .Rename(open_->root(), from->first, open_->root(), to, RenameMode::kReplace)
                .ok());
    branches_[branch][to] = from->second;
    branches_[branch].erase(from->first);
  }

  void Write(const std::string& branch) {
    const auto file = PickFile(branch);
    if (file == branches_[branch].end()) return;
    std::string content = file->second.content;
    const size_t at = Position(std::min(content.size() + 20'000, kMaxFileBytes));
    const std::string data = RandomText(1 + Position(Pick(4) == 0 ? 100'000 : 3 * kPageBytes));
    if (content.size() < at + data.size()) content.resize(at + data.size());
    content.replace(at, data.size(), data);
    REQUIRE(Open(branch).Write(InodeOf(*open_, file->first), at, BytesOf(data)).ok());
    Changed(file->second, std::move(content));
  }

  void Truncate(const std::string& branch) {
    const auto file = PickFile(branch);
    if (file == branches_[branch].end()) return;
    std::string content = file->second.content;
    const size_t size =
        Pick(5) == 0 ? 0 : Position(std::min(content.size() + 9'000, kMaxFileBytes));
    content.resize(size);
    REQUIRE(Open(branch).Set(InodeOf(*open_, file->first), {.size_bytes = size}).ok());
    Changed(file->second, std::move(content));
  }

  void Allocate(const std::string& branch) {
    const auto file = PickFile(branch);
    if (file == branches_[branch].end()) return;
    std::string content = file->second.content;
    const size_t at = Position(kMaxFileBytes);
    const size_t length = 1 + Position(30'000);
    const bool keep_size = Pick(2) == 0;
    const Status allocated =
        Open(branch).Allocate(InodeOf(*open_, file->first), at, length, keep_size);
    REQUIRE(allocated.ok());
    if (!keep_size && content.size() < at + length) content.resize(at + length);
    Changed(file->second, std::move(content));
  }

  void Zero(const std::string& branch) {
    const auto file = PickFile(branch);
    if (file == branches_[branch].end()) return;
    std::string content = file->second.content;
    const size_t at = Position(std::min(content.size() + 9'000, kMaxFileBytes));
    const size_t length = 1 + Position(50'000);
    const bool keep_size = Pick(2) == 0;
    REQUIRE(Open(branch).Zero(InodeOf(*open_, file->first), at, length, keep_size).ok());
    if (!keep_size && content.size() < at + length) content.resize(at + length);
    const size_t end = std::min(content.size(), at + length);
    if (at < end)
      std::fill(content.begin() + static_cast<ptrdiff_t>(at),
                content.begin() + static_cast<ptrdiff_t>(end), '\0');
    Changed(file->second, std::move(content));
  }

  void Sync(const std::string& branch) {
    const auto file = PickFile(branch);
    if (file == branches_[branch].end()) return;
    const auto kind = Pick(2) == 0 ? os::SyncKind::kData : os::SyncKind::kFull;
    REQUIRE(Open(branch).Sync(InodeOf(*open_, file->first), kind).ok());
    file->second.since_sync = {file->second.content};
  }

  void Reopen() {
    open_.reset();
    fixture_.Reopen();
    for (auto& [name, branch] : branches_) {
      for (auto& [file, state] : branch) state.since_sync = {state.content};
    }
    CheckAll();
  }

  void Crash() {
    open_.reset();
    fixture_.Crash();
    for (auto& [name, branch] : branches_) {
      Open(name);
      for (auto& [file, state] : branch) {
        const std::string found = ContentOf(*open_, file);
        CheckIsMixOf(found, state.since_sync, name + "/" + file);
        state = Durable(found);
      }
    }
    fixture_.Reopen();  // what was found is what stays
    CheckAll();
  }

  // Every byte of `found` is that byte in one of the states. Bytes past a state's end are zeros.
  static void CheckIsMixOf(const std::string& found, const std::vector<std::string>& states,
                           const std::string& what) {
    std::set<size_t> sizes;
    for (const std::string& state : states) sizes.insert(state.size());
    CHECK_MESSAGE(sizes.contains(found.size()), what, " has a size it never had");
    const auto is_known = [&](size_t i) {
      return std::any_of(states.begin(), states.end(), [&](const std::string& state) {
        return found[i] == (i < state.size() ? state[i] : '\0');
      });
    };
    for (size_t i = 0; i < found.size(); ++i) {
      if (!is_known(i)) FAIL(what, " has at ", i, " what was never written there");
    }
  }

  void CheckBranch(const std::string& name) {
    Open(name);
    const ModelBranch& expected = branches_[name];
    std::set<std::string> names;
    REQUIRE(open_
                ->List(open_->root(), 0,
                       [&](DirectoryCookie, const std::string& file, const Attributes&) {
                         names.insert(file);
                         return true;
                       })
                .ok());
    CHECK(names.size() == expected.size());
    uint64_t logical_bytes = 0;
    for (const auto& [file, state] : expected) {
      REQUIRE_MESSAGE(names.contains(file), name, " lost ", file);
      const std::string content = ContentOf(*open_, file);
      const auto differs =
          std::mismatch(content.begin(), content.end(), state.content.begin(), state.content.end());
      CHECK_MESSAGE(content == state.content, name, "/", file, " differs at ",
                    differs.first - content.begin(), " of ", state.content.size());
      logical_bytes += state.content.size();
    }
    const auto usage = fixture_.volume().Usage(name);
    REQUIRE(usage.ok());
    CHECK(usage->logical_bytes == logical_bytes);
  }

  std::mt19937 random_;
  VolumeFixture fixture_;
  std::map<std::string, ModelBranch> branches_;
  std::shared_ptr<Branch> open_;
  int next_name_ = 0;
};

unsigned long FromEnvironment(const char* name, unsigned long otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtoul(value, nullptr, 10) : otherwise;
}

TEST_CASE("branches behave as plain files do, through writes, freezes, clones and crashes") {
  const auto seed = static_cast<unsigned>(FromEnvironment("VELAFS_SEED", std::random_device{}()));
  const unsigned long steps = FromEnvironment("VELAFS_STEPS", 4000);
  MESSAGE("replay with VELAFS_SEED=", seed, " VELAFS_STEPS=", steps);
  Model model(seed);
  for (unsigned long step = 0; step < steps; ++step) {
    INFO("VELAFS_SEED=", seed, " step ", step);
    model.Step();
  }
  model.CheckAll();
}

}  // namespace
}  // namespace velafs::layer
