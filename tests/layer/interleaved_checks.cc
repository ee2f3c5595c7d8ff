// What is to be seen of the work, by the actors and after them.
#include <algorithm>

#include "tests/layer/interleaved_work.h"

namespace velafs::layer {

std::string InterleavedWork::NumberedPage(uint64_t number) {
  std::string page = std::to_string(number) + " ";
  page.resize(kPageBytes, '.');
  return page;
}

Result<std::string> InterleavedWork::ContentAt(Branch& branch, InodeNumber ino) {
  VELAFS_ASSIGN(const Attributes shown, branch.Get(ino));
  std::string content(shown.size_bytes, '?');
  VELAFS_ASSIGN(const size_t got, branch.Read(ino, 0, std::as_writable_bytes(std::span(content))));
  content.resize(got);
  return content;
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
