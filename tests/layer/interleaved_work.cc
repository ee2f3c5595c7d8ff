#include "tests/layer/interleaved_work.h"

#include <sys/stat.h>

#include <algorithm>

#include "velafs/store/gc.h"

namespace velafs::layer {
namespace {

constexpr int kRounds = 3;
constexpr size_t kWrittenPages = 4;
const std::string kWorkDirectory = "/disk/work";

test::VolatileStorage& WithDirectory(test::VolatileStorage& disk) {
  disk.MakeDurableDirectories(kWorkDirectory);
  return disk;
}

std::string NumberedPage(uint64_t number) {
  std::string page = std::to_string(number) + " ";
  page.resize(kPageBytes, '.');
  return page;
}

Result<std::string> ContentAt(Branch& branch, InodeNumber ino) {
  VELAFS_ASSIGN(const Attributes shown, branch.Get(ino));
  std::string content(shown.size_bytes, '?');
  VELAFS_ASSIGN(const size_t got, branch.Read(ino, 0, std::as_writable_bytes(std::span(content))));
  content.resize(got);
  return content;
}

}  // namespace

InterleavedWork::InterleavedWork(unsigned seed)
    : disk_(seed),
      sqlite_on_disk_(kWorkDirectory, WithDirectory(disk_)),
      fixture_(disk_, kWorkDirectory) {
  // Of what is stored with it main needs the one chunk that it has in common with it.
  const std::string shared(2 * kPageBytes, 'c');
  fixture_.MakeSource("other", {{"shared", shared}, {"garbage", std::string(kChunkBytes, 'g')}});
  fixture_.MakeSource(
      "main", {{"source", std::string(3 * kPageBytes, 's')}, {"shared", shared}, {"gone", "gone"}});
  Expect(fixture_.volume().Remove("other", [](catalog::Writer&) { return Status(); }), "remove");
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
  fixture_.Reopen();
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

void InterleavedWork::CheckStill(Branch& branch, const std::string& who) {
  const auto found = TreeModel::Read(branch);
  if (!found.ok()) return Expect(found.status(), who);
  for (const auto& [path, content] : contents_) {
    if (!found->Contains(path)) {
      Fault(who + " does not show " + path);
      continue;
    }
    const auto shown = ContentAt(branch, found->At(path).ino);
    if (!shown.ok()) {
      Expect(shown.status(), who + " shows of " + path);
    } else if (*shown != content) {
      Fault(who + " shows another content of " + path);
    }
  }
  for (const auto& [path, entry] : found->entries()) {
    if (IsWithin(path, "still") && !still_.Contains(path)) Fault(who + " shows " + path);
  }
  if (found->Contains("gone")) Fault(who + " shows gone");
}

// Page by page with n, which is then one more: the pages hold n up to some page, and n - 1 beyond.
void InterleavedWork::CheckWritten(Branch& branch, uint64_t at_least, const std::string& who) {
  const auto content = ContentAt(branch, InodeOf(branch, "written"));
  if (!content.ok()) return Expect(content.status(), who + " shows of written");
  if (content->size() != kWrittenPages * kPageBytes) return Fault(who + " has another size");
  uint64_t before = UINT64_MAX;
  uint64_t first = 0;
  for (size_t page = 0; page < kWrittenPages; ++page) {
    const uint64_t number = std::strtoull(content->data() + page * kPageBytes, nullptr, 10);
    if (page == 0) first = number;
    const bool follows = number <= before && number + 1 >= first;
    if (!follows) return Fault(who + " shows a file that never was");
    if (content->substr(page * kPageBytes, kPageBytes) != NumberedPage(number)) {
      return Fault(who + " shows a page that never was");
    }
    if (number < at_least) return Fault(who + " lacks what was synced");
    before = number;
  }
}

Result<TreeModel> InterleavedWork::NamesOf(Branch& branch) {
  VELAFS_ASSIGN(TreeModel tree, TreeModel::Read(branch));
  std::vector<std::string> others;
  for (const auto& [path, entry] : tree.entries()) {
    if (!path.empty() && !IsWithin(path, "names")) others.push_back(path);
  }
  for (const std::string& path : others) tree.Remove(path);
  return tree;
}

void InterleavedWork::CheckNames(Branch& branch, const TreeModel& expected,
                                 const std::string& who) {
  const auto found = NamesOf(branch);
  if (!found.ok()) return Expect(found.status(), who);
  if (!found->Matches(expected)) Fault(who + " names: " + found->FirstDifference(expected));
}

bool InterleavedWork::WereEver(const TreeModel& names, size_t since) {
  std::lock_guard lock(names_lock_);
  // What has just been made may not have been noted yet.
  return names.Contains("names/new") ||
         std::any_of(names_.begin() + static_cast<ptrdiff_t>(since), names_.end(),
                     [&](const TreeModel& state) { return state.Matches(names); });
}

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

void InterleavedWork::CheckAll() {
  const auto main = Main();
  if (!main) return;
  CheckStill(*main, "main");
  CheckWritten(*main, written_, "main");
  CheckNames(*main, names_.back(), "main");
}

void InterleavedWork::CutPower() {
  fixture_.CloseAll();
  disk_.PowerOn();
  const Status opened = fixture_.TryOpenAll();
  if (!opened.ok()) return Expect(opened, "open after a cut");
  if (!Main()) return;
  CheckStill(*Main(), "main after a cut");
  const auto names = NamesOf(*Main());
  Expect(names.status(), "names after a cut");
  if (names.ok() && !WereEver(*names, 0)) Fault("main shows names of no moment after a cut");
  const auto content = ContentAt(*Main(), InodeOf(*Main(), "written"));
  if (!content.ok()) return Expect(content.status(), "written after a cut");
  for (size_t page = 0; page < kWrittenPages; ++page) {
    const bool is_there = content->size() >= (page + 1) * kPageBytes;
    const uint64_t number =
        is_there ? std::strtoull(content->data() + page * kPageBytes, nullptr, 10) : 0;
    if (number < synced_) Fault("main lacks what was synced before a cut");
  }
}

void InterleavedWork::CheckAfterCut() {
  CutPower();
  if (!faults_.empty()) return;
  MergeAndSeal();
  CollectGarbage();
  CheckStill(*Main(), "main after a cut and more work");
}

void InterleavedWork::CheckAfterEnds() {
  DropIdle();
  CheckAll();
  fixture_.Reopen();
  CheckAll();
  Write();
  CutPower();
}

}  // namespace velafs::layer
