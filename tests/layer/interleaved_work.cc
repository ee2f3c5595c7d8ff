#include "tests/layer/interleaved_work.h"

#include <sys/stat.h>

namespace velafs::layer {
namespace {

const std::string kWorkDirectory = "/disk/work";

test::VolatileStorage& WithDirectory(test::VolatileStorage& disk) {
  disk.MakeDurableDirectories(kWorkDirectory);
  return disk;
}

}  // namespace

InterleavedWork::InterleavedWork(unsigned seed)
    : disk_(seed),
      sqlite_on_disk_(kWorkDirectory, WithDirectory(disk_)),
      fixture_(disk_, kWorkDirectory) {
  MakeSources();
  MakeLayers();
  RecordState();
  fixture_.Reopen();
}

void InterleavedWork::MakeSources() {
  // Of what is stored with it main needs the one chunk that it has in common with it.
  const std::string shared(2 * kPageBytes, 'c');
  fixture_.MakeSource("other", {{"shared", shared}, {"garbage", std::string(kChunkBytes, 'g')}});
  fixture_.MakeSource(
      "main", {{"source", std::string(3 * kPageBytes, 's')}, {"shared", shared}, {"gone", "gone"}});
  Expect(fixture_.volume().Remove("other", [](catalog::Writer&) { return Status(); }), "remove");
}

void InterleavedWork::MakeLayers() {
  const auto main = Main();
  const auto make = [&](InodeNumber directory, const std::string& name, uint32_t mode) {
    const auto made = main->Make(directory, name, {.mode = mode});
    Expect(made.status(), "make " + name);
    return made.ok() ? made->ino : InodeNumber();
  };
  const auto fill = [&](InodeNumber ino, const std::string& content) {
    Expect(main->Write(ino, 0, BytesOf(content)), "fill");
  };
  const auto freeze = [&](const std::string& name) {
    Expect(fixture_.Clone("main", name), "clone");
    if (name == "stays") return;
    Expect(fixture_.volume().Remove(name, [](catalog::Writer&) { return Status(); }), "remove");
  };
  const InodeNumber still = make(main->root(), "still", S_IFDIR | 0700);
  make(main->root(), "names", S_IFDIR | 0700);
  fill(make(still, "low", S_IFREG | 0600), std::string(3 * kPageBytes, 'l'));
  fill(make(still, "both", S_IFREG | 0600), std::string(2 * kPageBytes, 'b'));
  // In a directory of which the layers above say nothing.
  fill(make(make(still, "apart", S_IFDIR | 0700), "apart", S_IFREG | 0600), "apart");
  make(still, "removed", S_IFREG | 0600);
  make(main->root(), "written", S_IFREG | 0600);
  for (size_t i = 0; i < kWrittenPages; ++i) {
    Expect(main->Write(InodeOf(*main, "written"), i * kPageBytes, BytesOf(NumberedPage(1))),
           "fill");
  }
  freeze("passing");
  fill(make(still, "middle", S_IFREG | 0600), std::string(3 * kPageBytes, 'm'));
  Expect(main->Unlink(still, "removed"), "unlink");
  Expect(main->Unlink(main->root(), "gone"), "unlink");
  const auto both = main->Lookup(still, "both");
  Expect(both.status(), "look up");
  Expect(main->Write(both->ino, kPageBytes, BytesOf(std::string(3 * kPageBytes, 'B'))), "fill");
  freeze("passing");
  make(still, "high", S_IFREG | 0600);
  freeze("stays");
  Expect(fixture_.Clone("main", "reset"), "clone");
}

void InterleavedWork::RecordState() {
  const auto main = Main();
  const auto tree = TreeModel::Read(*main);
  Expect(tree.status(), "read");
  if (tree.ok()) still_ = *tree;
  for (const auto& [path, entry] : still_.entries()) {
    if (!entry.IsFile() || path == "written") continue;
    const auto content = ContentAt(*main, entry.ino);
    Expect(content.status(), path);
    contents_[path] = content.ok() ? *content : "";
  }
  names_ = {*NamesOf(*main)};
}

void InterleavedWork::Fault(const std::string& text) {
  if (disk_.is_off()) throw PowerIsOff();
  std::lock_guard lock(faults_lock_);
  faults_.push_back(text);
}

void InterleavedWork::Expect(const Status& status, const std::string& context) {
  if (!status.ok()) Fault(context + ": " + status.message());
}

std::shared_ptr<Branch> InterleavedWork::Main() {
  auto opened = fixture_.volume().Open("main");
  Expect(opened.status(), "open main");
  return opened.ok() ? *opened : nullptr;
}

test::Scheduler::Actor InterleavedWork::MakeActor(const std::string& name,
                                                  void (InterleavedWork::*work)()) {
  return {name, [this, work] {
            try {
              (this->*work)();
            } catch (const PowerIsOff&) {
            }
          }};
}

std::vector<test::Scheduler::Actor> InterleavedWork::AllActors() {
  using Work = InterleavedWork;
  return {MakeActor("reader", &Work::Look),
          MakeActor("writer", &Work::Write),
          MakeActor("namer", &Work::ChangeNames),
          MakeActor("cloner", &Work::Clone),
          MakeActor("merger", &Work::MergeAndSeal),
          MakeActor("dropper", &Work::DropIdle),
          MakeActor("syncer", &Work::SyncAll),
          MakeActor("counter", &Work::Measure),
          MakeActor("remover", &Work::RemoveClone),
          MakeActor("resetter", &Work::Reset),
          MakeActor("collector", &Work::CollectGarbage)};
}

}  // namespace velafs::layer
