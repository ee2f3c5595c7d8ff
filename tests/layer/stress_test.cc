// Many threads on one volume, as under a mount: meant for ThreadSanitizer, and true without it.
// VELAFS_STEPS says how many clones are taken.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/layer/volume_fixture.h"
#include "tests/random.h"

namespace velafs::layer {
namespace {

constexpr size_t kPages = 8;

std::string Page(uint64_t value) {
  std::string page = std::to_string(value) + " ";
  page.resize(kPageBytes, '.');
  return page;
}

// A file of kPages pages that is written page by page with a number, which is then one more: at any
// moment the pages hold n up to some page and n - 1 from there on.
bool IsOfOneMoment(const std::string& content) {
  const auto value_of = [&content](size_t page) {
    return std::stoull(content.substr(page * kPageBytes, 20));
  };
  const uint64_t first = value_of(0);
  bool dropped = false;
  for (size_t page = 1; page < kPages; ++page) {
    const uint64_t value = value_of(page);
    dropped = dropped || value != first;
    if (value != first - (dropped ? 1 : 0)) return false;
  }
  return true;
}

class Stress {
 public:
  Stress() {
    std::string content;
    for (size_t page = 0; page < kPages; ++page) content += Page(1);
    fixture_.MakeSource("main", {{"written0", content}, {"written1", content}, {"still", content}});
  }

  void Run(unsigned long clones) {
    std::vector<std::thread> threads;
    const auto start = [&threads](auto body) { threads.emplace_back(body); };
    start([this] { Write("written0"); });
    start([this] { Write("written1"); });
    start([this] { Sync("written0"); });
    start([this] { MakeAndRemove("a"); });
    start([this] { MakeAndRemove("b"); });
    start([this] { LookAround(); });
    start([this] { Measure(); });
    start([this] { DropIdle(); });
    start([this] { MergeAndSeal(); });
    for (unsigned long i = 0; i < clones; ++i) CloneAndDelete("clone" + std::to_string(i % 3));
    stop_ = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(failures_ == 0);
    CHECK(torn_ == 0);
    CHECK(writes_ > 0);
    CHECK(merges_ > 0);
    CHECK(seals_ > 0);
    fixture_.Reopen();
    const auto main = fixture_.Open("main");
    for (const char* file : {"written0", "written1"}) CHECK(IsOfOneMoment(ContentOf(*main, file)));
    CHECK(ContentOf(*main, "still").starts_with(Page(1)));
  }

 private:
  void Expect(const Status& status) {
    if (status.ok()) return;
    ++failures_;
    MESSAGE(status.message());
  }
  std::shared_ptr<Branch> Main() { return *fixture_.volume().Open("main"); }

  void Write(const std::string& file) {
    const auto branch = Main();
    const InodeNumber ino = InodeOf(*branch, file);
    for (uint64_t value = 2; !stop_; ++value) {
      const std::string page = Page(value);
      for (size_t i = 0; i < kPages; ++i) Expect(branch->Write(ino, i * kPageBytes, BytesOf(page)));
      std::string read(kPageBytes, '?');
      Expect(branch->Read(ino, 3 * kPageBytes, std::as_writable_bytes(std::span(read))).status());
      if (read != page) ++torn_;
      ++writes_;
    }
  }

  void Sync(const std::string& file) {
    const auto branch = Main();
    const InodeNumber ino = InodeOf(*branch, file);
    while (!stop_) {
      Expect(branch->Sync(ino, os::SyncKind::kData));
      Expect(fixture_.volume().SyncAll());
    }
  }

  void MakeAndRemove(const std::string& name) {
    const auto branch = Main();
    while (!stop_) {
      const auto made = branch->Make(branch->root(), name, {.mode = S_IFREG | 0600});
      Expect(made.status());
      if (!made.ok()) return;
      branch->Retain(made->ino);
      Expect(branch->Write(made->ino, 100, BytesOf("content")));
      Expect(
          branch->Rename(branch->root(), name, branch->root(), name + "2", RenameMode::kReplace));
      Expect(branch->Link(made->ino, branch->root(), name).status());
      Expect(branch->Unlink(branch->root(), name + "2"));
      Expect(branch->Unlink(branch->root(), name));
      branch->Forget(made->ino, 1);
    }
  }

  void LookAround() {
    const auto branch = Main();
    while (!stop_) {
      std::vector<InodeNumber> seen;
      Expect(branch->List(branch->root(), {},
                          [&](DirectoryCookie, const std::string&, const Attributes& attributes) {
                            seen.push_back(attributes.ino);
                            return true;
                          }));
      for (const InodeNumber ino : seen) {
        branch->Retain(ino);
        static_cast<void>(branch->Get(ino));  // it may be gone by now
        branch->Forget(ino, 1);
      }
    }
  }

  void Measure() {
    while (!stop_) Expect(fixture_.volume().Usage("main").status());
  }

  void DropIdle() {
    const auto branch = Main();
    while (!stop_) {
      branch->BeginRound();
      branch->DropIdle(1);
      std::this_thread::yield();
    }
  }

  void MergeAndSeal() {
    while (!stop_) {
      std::unique_ptr<LayerMerger> merger;
      std::unique_ptr<LayerSealer> sealer;
      {
        std::lock_guard lock(verbs_lock_);
        auto merging = LayerMerger::Start(fixture_.volume());
        Expect(merging.status());
        if (merging.ok()) merger = *std::move(merging);
        if (!merger) {
          auto sealing = LayerSealer::Start(fixture_.volume(), NowNs());
          Expect(sealing.status());
          if (sealing.ok()) sealer = *std::move(sealing);
        }
      }
      if (merger) {
        Expect(merger->Run([] { return true; }).status());
        ++merges_;
      } else if (sealer) {
        Expect(fixture_.Seal(std::move(sealer), UINT64_MAX, VolumeFixture::Always).status());
        ++seals_;
      } else {
        std::this_thread::yield();
      }
    }
  }

  void CloneAndDelete(const std::string& name) {
    {
      std::lock_guard lock(verbs_lock_);
      Expect(fixture_.Clone("main", name));
    }
    const auto opened = fixture_.volume().Open(name);
    Expect(opened.status());
    if (!opened.ok()) return;
    Branch& clone = **opened;
    for (const char* file : {"written0", "written1"}) {
      const std::string content = ContentOf(clone, file);
      if (!IsOfOneMoment(content)) ++torn_;
      Expect(clone.Write(InodeOf(clone, file), 5 * kPageBytes, BytesOf(Page(7))));
      Expect(clone.Sync(InodeOf(clone, file), os::SyncKind::kData));
    }
    // Readers of the clone while it goes away.
    std::thread reader([&clone] {
      const InodeNumber ino = InodeOf(clone, "still");
      std::string page(kPageBytes, '?');
      while (clone.Read(ino, 0, std::as_writable_bytes(std::span(page))).ok()) {
      }
    });
    Expect(fixture_.volume().Remove(name, [](catalog::Writer&) { return Status(); }));
    reader.join();
  }

  VolumeFixture fixture_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> failures_ = 0;
  std::atomic<int> torn_ = 0;
  std::atomic<uint64_t> writes_ = 0;
  std::atomic<uint64_t> merges_ = 0;
  std::atomic<uint64_t> seals_ = 0;
  std::mutex verbs_lock_;
};

TEST_CASE("clones taken while many threads work are each of one moment") {
  Stress().Run(test::FromEnvironment("VELAFS_STEPS", 60));
}

}  // namespace
}  // namespace velafs::layer
