// What each actor does.
#include <sys/stat.h>

#include "tests/layer/interleaved_work.h"
#include "velafs/store/gc.h"

namespace velafs::layer {
namespace {

constexpr int kRounds = 3;

}  // namespace

void InterleavedWork::Look() { CheckStill(*Main(), "a reader"); }

void InterleavedWork::Write() {
  const auto main = Main();
  const InodeNumber ino = InodeOf(*main, "written");
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t number = written_ + 1;
    for (size_t page = 0; page < kWrittenPages; ++page) {
      Expect(main->Write(ino, page * kPageBytes, BytesOf(NumberedPage(number))), "write");
    }
    written_ = number;
    CheckWritten(*main, number, "the writer");
    if (round % 2 == 1) continue;
    const Status synced = main->Sync(ino, os::SyncKind::kData);
    Expect(synced, "sync");
    if (synced.ok()) synced_ = number;
  }
}

void InterleavedWork::ChangeNames() {
  const auto main = Main();
  TreeModel tree;
  {
    std::lock_guard lock(names_lock_);
    tree = names_.back();
  }
  const InodeNumber directory = tree.At("names").ino;
  const auto change = [&](const TreeModel& after, const std::function<Status()>& body) {
    {
      std::lock_guard lock(names_lock_);
      names_.push_back(after);
    }
    Expect(body(), "change a name");
    tree = after;
    CheckNames(*main, tree, "the namer");
  };
  for (int round = 0; round < kRounds; ++round) {
    // What is made has its number only later.
    const auto made = main->Make(directory, "new", {.mode = S_IFREG | 0600});
    Expect(made.status(), "make");
    if (!made.ok()) return;
    TreeModel after = tree;
    after.Add("names/new", {.ino = made->ino, .mode = S_IFREG | 0600});
    change(after, [] { return Status(); });
    after.Add("names/link", after.At("names/new"));
    change(after, [&] { return main->Link(made->ino, directory, "link").status(); });
    after.Rename("names/new", "names/moved", RenameMode::kReplace);
    change(after, [&] {
      return main->Rename(directory, "new", directory, "moved", RenameMode::kReplace);
    });
    after.Remove("names/link");
    change(after, [&] { return main->Unlink(directory, "link"); });
    if (round % 2 == 1) continue;
    after.Remove("names/moved");
    change(after, [&] { return main->Unlink(directory, "moved"); });
  }
}

void InterleavedWork::FreezeOnce() {
  std::lock_guard lock(verbs_lock_);
  Expect(fixture_.Clone("main", "clone"), "clone");
}

void InterleavedWork::Clone() {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t at_least = written_ - 1;
    size_t first_names = 0;
    {
      std::lock_guard lock(names_lock_);
      first_names = names_.size() - 1;
    }
    FreezeOnce();
    const auto opened = fixture_.volume().Open("clone");
    if (!opened.ok()) return Expect(opened.status(), "open the clone");
    CheckStill(**opened, "a clone");
    CheckWritten(**opened, at_least, "a clone");
    const auto names = NamesOf(**opened);
    if (!names.ok()) return Expect(names.status(), "names of a clone");
    if (!WereEver(*names, first_names > 0 ? first_names - 1 : 0)) {
      Fault("a clone shows names of no moment");
    }
    Expect((*opened)->Write(InodeOf(**opened, "written"), 0, BytesOf("clone")), "write");
    std::lock_guard lock(verbs_lock_);
    Expect(fixture_.volume().Remove("clone", [](catalog::Writer&) { return Status(); }), "remove");
  }
}

void InterleavedWork::RemoveClone() {
  std::lock_guard lock(verbs_lock_);
  Expect(fixture_.volume().Remove("stays", [](catalog::Writer&) { return Status(); }), "remove");
}

void InterleavedWork::Reset() {
  const auto reset = [](catalog::Writer& writer, catalog::BranchRow row, LayerId onto,
                        const EndedHead& head) -> Result<std::vector<LayerId>> {
    VELAFS_ASSIGN(const catalog::LayerRow below, writer.Layer(onto));
    VELAFS_ASSIGN(row.head, writer.AddLayer(onto, catalog::LayerState::kHead));
    VELAFS_TRY(writer.SetLayerLogicalBytes(row.head, below.logical_bytes));
    VELAFS_ASSIGN(row.instance, writer.ReserveInstance());
    row.first_layer = row.head;
    VELAFS_TRY(writer.UpdateBranch(row));
    return writer.RemoveUnusedLayers(head.id);
  };
  for (int round = 0; round < kRounds; ++round) {
    const auto before = fixture_.volume().Open("reset");
    if (!before.ok()) return Expect(before.status(), "open the branch to reset");
    Expect((*before)->Write(InodeOf(**before, "written"), 0, BytesOf("mine")), "write");
    const uint64_t at_least = written_ - 1;
    {
      std::lock_guard lock(verbs_lock_);
      LayerId onto;
      Expect(fixture_.volume().Freeze("main",
                                      [&](catalog::Writer&, LayerId frozen) {
                                        onto = frozen;
                                        return Status();
                                      }),
             "freeze for a reset");
      Expect(fixture_.volume()
                 .EndInstance(
                     "reset", Volume::End::kDiscard,
                     [&](catalog::Writer& writer, catalog::BranchRow row, const EndedHead& head) {
                       return reset(writer, std::move(row), onto, head);
                     })
                 .status(),
             "reset");
    }
    if ((*before)->Get((*before)->root()).status().error_number() != ESTALE) {
      Fault("what was reset lives on");
    }
    const auto after = fixture_.volume().Open("reset");
    if (!after.ok()) return Expect(after.status(), "open what was reset");
    CheckStill(**after, "what was reset");
    CheckWritten(**after, at_least, "what was reset");
  }
}

void InterleavedWork::CollectGarbage() {
  for (int round = 0; round < kRounds; ++round) {
    std::lock_guard lock(packs_lock_);
    store::GarbageCollector collector(disk_, fixture_.catalog(), fixture_.packs(),
                                      fixture_.directory() + "/packs");
    const auto done = collector.Run(false, nullptr);
    Expect(done.status(), "collect garbage");
    if (done.ok()) packs_rewritten_ += done->packs_rewritten;
  }
}

bool InterleavedWork::MergeIfAny() {
  const auto merged = fixture_.Merge(verbs_lock_);
  Expect(merged.status(), "merge");
  return merged.ok() && *merged;
}

bool InterleavedWork::SealIfAny() {
  std::lock_guard lock(packs_lock_);
  const auto sealed = fixture_.Seal(verbs_lock_);
  Expect(sealed.status(), "seal");
  return sealed.ok() && *sealed;
}

void InterleavedWork::MergeAll() {
  while (MergeIfAny()) {
  }
}

void InterleavedWork::MergeOnce() {
  if (!MergeIfAny()) Fault("there was nothing to merge");
}

void InterleavedWork::SealOnce() {
  if (!SealIfAny()) Fault("there was nothing to seal");
}

void InterleavedWork::MergeAndSeal() {
  for (int round = 0; round < kRounds; ++round) {
    MergeIfAny();
    SealIfAny();
  }
}

void InterleavedWork::DropIdle() {
  const auto main = Main();
  for (int round = 0; round < 2 * kRounds; ++round) {
    main->BeginRound();
    main->DropIdle(1);
  }
}

void InterleavedWork::SyncAll() {
  for (int round = 0; round < kRounds; ++round) Expect(fixture_.volume().SyncAll(), "sync all");
}

void InterleavedWork::Measure() {
  for (int round = 0; round < kRounds; ++round) {
    Expect(fixture_.volume().Usage("main").status(), "measure");
  }
}

}  // namespace velafs::layer
