// Loads of a branch, with a merge or a sealing between what they read first and what they read
// last.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/layer/merge_fixture.h"
#include "velafs/layer/layer.h"

namespace velafs::layer {
namespace {

// A host of one's own branch of the fixture's store. Branches ask it for its parts before each
// transaction: before the second one from Arm() on, something else happens.
class InterruptingHost : public BranchHost {
 public:
  explicit InterruptingHost(VolumeFixture& fixture)
      : packs_(os::HostStorage(), fixture.directory() + "/packs"),
        reserve_(os::HostStorage(), fixture.directory() + "/reserve"),
        parts_{os::HostStorage(), fixture.catalog(), packs_, reserve_,
               fixture.directory() + "/layers"} {}

  std::shared_ptr<Branch> Open(LayerId top, InodeNumber root) {
    catalog::BranchRow row;
    row.head = top;
    row.root = root;
    auto branch = Branch::Open(*this, row);
    REQUIRE_MESSAGE(branch.ok(), branch.status().message());
    return *std::move(branch);
  }
  void Arm(std::function<void()> interrupt) {
    asked_ = 0;
    interrupt_ = std::move(interrupt);
  }
  bool has_interrupted() const { return has_interrupted_; }
  void MoveContent() { ++generation_; }
  std::shared_ptr<Layer> LayerOf(LayerId id) { return layers_.at(id); }

  const VolumeParts& parts() const override {
    if (++asked_ == 2 && interrupt_) {
      has_interrupted_ = true;
      std::exchange(interrupt_, nullptr)();
    }
    return parts_;
  }
  Result<std::shared_ptr<Layer>> GetLayer(LayerId id, bool is_settled) override {
    if (!layers_.contains(id)) {
      VELAFS_ASSIGN(layers_[id], Layer::Load(parts_, id, is_settled));
    }
    return layers_[id];
  }
  uint64_t generation() const override { return generation_; }
  Result<InodeNumber> NewInodeNumber() override { return Errno(EROFS); }
  TimeNs time_granularity() const override { return 1; }
  void NoteLoaded(size_t) override {}
  void DiscardLater(std::shared_ptr<Layer>, InodeNumber, catalog::CommitSequence) override {}

 private:
  chunk::PackReader packs_;
  os::SpaceReserve reserve_;
  const VolumeParts parts_;
  std::map<LayerId, std::shared_ptr<Layer>> layers_;
  uint64_t generation_ = 1;
  mutable int asked_ = 0;
  mutable std::function<void()> interrupt_;
  mutable bool has_interrupted_ = false;
};

void MakeLink(VolumeFixture& fixture, const std::string& name) {
  const auto main = fixture.Open("main");
  const NewNode node{.mode = S_IFLNK | 0777, .target = "elsewhere"};
  REQUIRE(main->Make(main->root(), name, node).ok());
}

std::vector<std::string> NamesIn(Branch& branch) {
  std::vector<std::string> names;
  const Status listed = branch.List(
      branch.root(), 0, [&](DirectoryCookie, const std::string& name, const Attributes&) {
        names.push_back(name);
        return true;
      });
  REQUIRE_MESSAGE(listed.ok(), listed.message());
  std::ranges::sort(names);
  return names;
}

TEST_CASE("a directory that is first read while its layer is merged has all its names") {
  MergeFixture fixture;
  for (const char* name : {"both", "lower", "upper", "gone", "cut", "none"}) {
    fixture.Unlink("main", name);
  }
  MakeLink(fixture, "first");
  fixture.Freeze();
  MakeLink(fixture, "second");
  const LayerId upper = fixture.HeadOf("main");
  const InodeNumber root = fixture.Open("main")->root();
  fixture.Freeze();
  fixture.Reopen();
  InterruptingHost host(fixture);
  const auto branch = host.Open(upper, root);
  REQUIRE(branch->Get(root).ok());  // its row is loaded, and its names are not
  host.Arm([&] {
    REQUIRE(fixture.MergeAll() == 1);
    host.MoveContent();
  });
  CHECK(NamesIn(*branch) == std::vector<std::string>{"first", "second"});
  CHECK(host.has_interrupted());
}

TEST_CASE("a file that is first read while its layer is sealed has all its content") {
  MergeFixture fixture;
  const auto main = fixture.Open("main");
  const InodeNumber ino = MakeFile(*main, "born");
  const std::string content = Pages('x', 40);
  REQUIRE(main->Write(ino, 0, BytesOf(content)).ok());
  const LayerId frozen = fixture.HeadOf("main");
  fixture.Freeze();
  fixture.Reopen();
  InterruptingHost host(fixture);
  const auto branch = host.Open(frozen, fixture.Open("main")->root());
  host.Arm([&] {
    REQUIRE(fixture.SealWithoutEnd().ok());
    host.MoveContent();
    host.LayerOf(frozen)->ForgetPageFiles({{ino, 0}});
  });
  const auto seen = branch->Get(ino);
  REQUIRE_MESSAGE(seen.ok(), seen.status().message());
  REQUIRE(host.has_interrupted());
  CHECK(seen->size_bytes == content.size());
  CHECK(ContentOf(*branch, "born") == content);
}

TEST_CASE(
    "what was loaded of a file that is merged or sealed then is loaded anew, and is the same") {
  MergeFixture fixture;
  fixture.MakeTwoLayers();
  const auto before = fixture.TreeOf("main");
  const InodeNumber both = InodeOf(*fixture.Open("main"), "both");
  fixture.Open("main")->Retain(both, 3);
  REQUIRE(fixture.Open("main")->Unlink(fixture.Open("main")->root(), "both").ok());
  const auto content_of_gone = [&] {
    std::string content(before.at("both").size(), '?');
    REQUIRE(fixture.Open("main")->Read(both, 0, std::as_writable_bytes(std::span(content))).ok());
    return content;
  };
  REQUIRE(fixture.MergeAll() == 1);
  CHECK(content_of_gone() == before.at("both"));
  while (*fixture.Seal()) {
  }
  CHECK(content_of_gone() == before.at("both"));
  auto after = fixture.TreeOf("main");
  after["both"] = before.at("both");
  CHECK(after == before);
  fixture.Open("main")->Forget(both, 3);
  CHECK(fixture.Open("main")->Get(both).status().error_number() == ESTALE);
}

TEST_CASE(
    "a file with an unsynced page file keeps the size from before it when its layer is merged") {
  MergeFixture fixture;
  fixture.Write("main", "both", 1, '1');
  fixture.Freeze();
  fixture.Write("main", "both", 2, '2');
  fixture.Freeze();
  const auto branch = fixture.Open("main");
  const InodeNumber ino = InodeOf(*branch, "both");
  const std::string before = ContentOf(*branch, "both");
  fixture.Cut("main", "both", kPageBytes);  // in a page file that a crash takes
  REQUIRE(fixture.MergeAll() == 1);
  REQUIRE(branch->Set(ino, {.mode = 0640}).ok());
  fixture.Crash();
  CHECK(ContentOf(*fixture.Open("main"), "both") == before);
}

}  // namespace
}  // namespace velafs::layer
