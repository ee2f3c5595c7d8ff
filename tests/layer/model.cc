#include "tests/layer/model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace velafs::layer {
namespace {

constexpr size_t kMaxBranches = 8;
constexpr size_t kMaxFiles = 8;
const std::string kDirectory = "/disk/store";

test::VolatileStorage& Prepared(test::VolatileStorage& disk) {
  disk.MakeDurableDirectories(kDirectory);
  return disk;
}

}  // namespace

Model::Model(unsigned seed, size_t max_file_bytes)
    : random_(seed),
      max_file_bytes_(max_file_bytes),
      disk_(seed),
      sqlite_on_disk_(kDirectory, Prepared(disk_)),
      fixture_(disk_, kDirectory) {
  std::map<std::string, std::string> source;
  for (int i = 0; i < 4; ++i) source["file" + std::to_string(i)] = RandomText(Pick(max_file_bytes));
  source["holes"] = std::string(max_file_bytes * 2 / 3, '\0') + RandomText(5'000);
  fixture_.MakeSource("main", source);
  for (const auto& [name, content] : source) {
    const InodeNumber ino = InodeOf(*Open("main"), name);
    names_["main"][name] = ino;
    files_["main"][ino] = Durable(content);
  }
  Reopen();
}

void Model::Step(bool with_crashes) {
  const std::string branch = PickBranch();
  if (Pick(8) == 0) DropIdle(branch);
  switch (Pick(with_crashes ? 30 : 26)) {
    case 0:
      return Clone(branch);
    case 1:
      return Remove(branch);
    case 2:
    case 3:
      return Create(branch);
    case 4:
      return Unlink(branch);
    case 5:
      return Rename(branch);
    case 6:
    case 7:
      return Sync(branch);
    case 8:
    case 9:
      return Truncate(branch);
    case 10:
      return Allocate(branch);
    case 11:
    case 12:
      return Zero(branch);
    case 13:
      return CheckBranch(branch);
    case 14:
      return Merge();
    case 15:
      return Seal();
    case 26:
      return Reopen();
    case 27:
      return KillProcess();
    case 28:
      return CutPower();
    case 29:
      return InjectFailure();
    default:
      return Write(branch);
  }
}

std::string Model::RandomText(size_t length) {
  std::string text(length, '\0');
  if (Pick(8) == 0) return text;  // zeros are content too
  for (size_t i = 0; i < length; i += 16) text[i] = static_cast<char>('a' + Pick(26));
  return text;
}

// A position that falls on page and chunk borders often.
size_t Model::Position(size_t limit) {
  const size_t at = Pick(limit + 1);
  if (Pick(3) > 0) return at;
  const size_t unit = Pick(2) == 0 ? kPageBytes : kChunkBytes;
  return std::min(limit, at / unit * unit);
}

std::string Model::PickBranch() {
  return std::next(names_.begin(), static_cast<ptrdiff_t>(Pick(names_.size())))->first;
}

bool Model::PickFile(const std::string& branch, std::string* name, File** file) {
  const Names& names = names_[branch];
  if (names.empty()) return false;
  const auto picked = std::next(names.begin(), static_cast<ptrdiff_t>(Pick(names.size())));
  *name = picked->first;
  *file = &files_[branch][picked->second];
  return true;
}

// Null when that fails, as it may once the disk has.
Branch* Model::Open(const std::string& branch) {
  auto opened = fixture_.volume().Open(branch);
  if (!opened.ok()) {
    Failed(opened.status());
    return nullptr;
  }
  open_ = *std::move(opened);
  return open_.get();
}

// Nothing fails unless the disk does.
void Model::Failed(const Status& status) {
  const bool struck = disk_.is_off() || !disk_.CancelFailure() || has_failed_;
  REQUIRE_MESSAGE(struck, status.message());
  has_failed_ = true;
}

bool Model::NamesChanged(const Status& done, Namespace after, File* file) {
  history_.push_back(after);
  if (file != nullptr) file->named_at = history_.size() - 1;
  if (!done.ok()) {
    Failed(done);
    return false;
  }
  names_ = std::move(after);
  return true;
}

void Model::ContentChanged(const Status& done, File& file, std::string content) {
  file.since_sync.push_back(content);
  if (done.ok()) {
    file.content = std::move(content);
  } else {
    Failed(done);
  }
}

// Nothing that is seen depends on what is in memory.
void Model::DropIdle(const std::string& branch) {
  const auto opened = fixture_.volume().Open(branch);
  if (!opened.ok()) return;
  (*opened)->BeginRound();
  (*opened)->DropIdle(1);
}

void Model::Clone(const std::string& source) {
  if (names_.size() >= kMaxBranches) return;
  const std::string name = "clone" + std::to_string(next_name_++);
  Namespace after = names_;
  after[name] = after[source];
  files_[name] = files_[source];
  if (!NamesChanged(fixture_.Clone(source, name), std::move(after))) return;
  // What a freeze has seen is durable, and so is every earlier change of names.
  for (auto& [ino, file] : files_[source]) file.since_sync = {file.content};
  files_[name] = files_[source];
  durable_from_ = history_.size() - 1;
}

// Changes nothing that is to be seen.
void Model::Merge() {
  const auto merge = fixture_.volume().BeginMerge();
  if (!merge.ok()) return Failed(merge.status());
  if (!*merge) return;
  const bool go_on = Pick(6) > 0;
  const auto merged = fixture_.volume().FinishMerge(**merge, [go_on] { return go_on; });
  if (!merged.ok()) return Failed(merged.status());
  if (go_on) ++merges_;
}

void Model::Seal() {
  const bool go_on = Pick(6) > 0;
  const uint64_t limit_bytes = Pick(3) == 0 ? 1 : UINT64_MAX;
  const auto sealed = fixture_.Seal(limit_bytes, [&] { return go_on || Pick(3) > 0; });
  if (sealed.ok() && *sealed) ++seals_;
  if (!sealed.ok() && sealed.status().code() != Code::kRefused) Failed(sealed.status());
}

void Model::Remove(const std::string& name) {
  if (names_.size() < 2 || Pick(3) > 0) return;
  Namespace after = names_;
  after.erase(name);
  const Status removed = fixture_.volume().Remove(name, [](catalog::Writer&) { return Status(); });
  if (!NamesChanged(removed, std::move(after))) return;
  CHECK_FALSE(fixture_.volume().Open(name).ok());
  durable_from_ = history_.size() - 1;
}

void Model::Create(const std::string& branch) {
  if (names_[branch].size() >= kMaxFiles) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  // Sometimes a name that was there before.
  const std::string name = "file" + std::to_string(Pick(2 * kMaxFiles));
  const auto made = open->Make(open->root(), name, {.mode = 0100600});
  if (names_[branch].contains(name)) {
    if (made.status().error_number() != EEXIST) Failed(made.status());
    return;
  }
  const InodeNumber ino = made.ok() ? made->ino : InodeNumber();
  Namespace after = names_;
  after[branch][name] = ino;
  files_[branch][ino] = Durable("");
  NamesChanged(made.status(), std::move(after), &files_[branch][ino]);
}

void Model::Unlink(const std::string& branch) {
  std::string name;
  File* file = nullptr;
  if (!PickFile(branch, &name, &file) || Pick(2) == 0) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  Namespace after = names_;
  after[branch].erase(name);
  NamesChanged(open->Unlink(open->root(), name), std::move(after));
}

void Model::Rename(const std::string& branch) {
  std::string from;
  File* file = nullptr;
  if (!PickFile(branch, &from, &file)) return;
  const std::string to = "file" + std::to_string(Pick(2 * kMaxFiles));
  Branch* open = Open(branch);
  if (to == from || open == nullptr) return;
  Namespace after = names_;
  after[branch][to] = after[branch][from];
  after[branch].erase(from);
  NamesChanged(open->Rename(open->root(), from, open->root(), to, RenameMode::kReplace),
               std::move(after), file);
}

void Model::Write(const std::string& branch) {
  std::string name;
  File* file = nullptr;
  if (!PickFile(branch, &name, &file)) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  std::string content = file->content;
  const size_t at = Position(std::min(content.size() + 20'000, max_file_bytes_));
  const size_t length = 1 + Position(Pick(4) == 0 ? max_file_bytes_ / 3 : 3 * kPageBytes);
  const std::string data = RandomText(length);
  if (content.size() < at + data.size()) content.resize(at + data.size());
  content.replace(at, data.size(), data);
  ContentChanged(open->Write(names_[branch][name], at, BytesOf(data)), *file, std::move(content));
}

void Model::Truncate(const std::string& branch) {
  std::string name;
  File* file = nullptr;
  if (!PickFile(branch, &name, &file)) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  std::string content = file->content;
  const size_t size =
      Pick(5) == 0 ? 0 : Position(std::min(content.size() + 9'000, max_file_bytes_));
  content.resize(size);
  ContentChanged(open->Set(names_[branch][name], {.size_bytes = size}).status(), *file,
                 std::move(content));
}

void Model::Allocate(const std::string& branch) {
  std::string name;
  File* file = nullptr;
  if (!PickFile(branch, &name, &file)) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  std::string content = file->content;
  const size_t at = Position(max_file_bytes_);
  const size_t length = 1 + Position(max_file_bytes_ / 10);
  const bool keep_size = Pick(2) == 0;
  if (!keep_size && content.size() < at + length) content.resize(at + length);
  ContentChanged(open->Allocate(names_[branch][name], at, length, keep_size), *file,
                 std::move(content));
}

void Model::Zero(const std::string& branch) {
  std::string name;
  File* file = nullptr;
  if (!PickFile(branch, &name, &file)) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  std::string content = file->content;
  const size_t at = Position(std::min(content.size() + 9'000, max_file_bytes_));
  const size_t length = 1 + Position(max_file_bytes_ / 6);
  const bool keep_size = Pick(2) == 0;
  if (!keep_size && content.size() < at + length) content.resize(at + length);
  const size_t end = std::min(content.size(), at + length);
  if (at < end) content.replace(at, end - at, end - at, '\0');
  ContentChanged(open->Zero(names_[branch][name], at, length, keep_size), *file,
                 std::move(content));
}

void Model::Sync(const std::string& branch) {
  std::string name;
  File* file = nullptr;
  if (!PickFile(branch, &name, &file)) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  const auto kind = Pick(2) == 0 ? os::SyncKind::kData : os::SyncKind::kFull;
  if (const Status synced = open->Sync(names_[branch][name], kind); !synced.ok()) {
    return Failed(synced);
  }
  file->since_sync = {file->content};
  durable_from_ = std::max(durable_from_, file->named_at);
}

void Model::Reopen() {
  open_.reset();
  fixture_.Reopen();
  ForgetHistory();
  for (auto& [branch, files] : files_) {
    for (auto& [ino, file] : files) file.since_sync = {file.content};
  }
  CheckAll();
}

// The process ends at once: what it has handed to the host stays.
void Model::KillProcess() {
  open_.reset();
  disk_.CutOff();
  fixture_.CloseAll();
  disk_.Restart();
  fixture_.OpenAll();
  const auto found = FoundNames();
  REQUIRE_MESSAGE(found.ok(), found.status().message());
  CHECK(*found == names_);
  const Status adopted = AdoptContents(*found);
  CHECK_MESSAGE(adopted.ok(), adopted.message());
  CheckAll();
}

void Model::CutPower() {
  disk_.CutAfter(Pick(40));
  for (int step = 0; !disk_.is_off() && step < 60; ++step) Step(false);
  Recover();
}

void Model::InjectFailure() {
  disk_.FailAfter(Pick(20), Pick(2) == 0 ? EIO : ENOSPC);
  has_failed_ = false;
  for (int step = 0; !has_failed_ && step < 40; ++step) Step(false);
  disk_.CancelFailure();
  if (Pick(2) == 0) disk_.CutAfter(0);
  Recover();
}

void Model::Recover() {
  const Status recovered = TryRecover();
  REQUIRE_MESSAGE(recovered.ok(), recovered.message());
  CheckAll();
}

Status Model::TryRecover() {
  open_.reset();
  disk_.CutAfter(0);
  fixture_.CloseAll();
  disk_.PowerOn();
  // Power may go once more in the middle of recovery.
  if (Pick(3) == 0) {
    disk_.CutAfter(Pick(30));
    if (fixture_.TryOpenAll().ok()) static_cast<void>(FoundNames());
    fixture_.CloseAll();
    disk_.PowerOn();
  }
  VELAFS_TRY(fixture_.TryOpenAll());
  has_failed_ = false;
  VELAFS_ASSIGN(const Namespace found, FoundNames());
  VELAFS_TRY(CheckNames(found));
  return AdoptContents(found);
}

Result<Model::Namespace> Model::FoundNames() {
  std::vector<catalog::BranchRow> rows;
  VELAFS_TRY(fixture_.catalog().Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    return {};
  }));
  Namespace found;
  for (const catalog::BranchRow& row : rows) {
    VELAFS_ASSIGN(const auto branch, fixture_.volume().Open(row.name));
    Names& names = found[row.name];
    VELAFS_TRY(branch->List(branch->root(), 0,
                            [&](DirectoryCookie, const std::string& name, const Attributes& said) {
                              names[name] = said.ino;
                              return true;
                            }));
  }
  return found;
}

// An inode that never came to be known may have any number.
Status Model::CheckNames(const Namespace& found) const {
  const auto same_names = [](const Names& a, const Names& b) {
    return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
      return x.first == y.first && (x.second == y.second || !x.second || !y.second);
    });
  };
  const auto matches = [&](const Namespace& state) {
    return std::ranges::equal(found, state, [&](const auto& x, const auto& y) {
      return x.first == y.first && same_names(x.second, y.second);
    });
  };
  if (std::any_of(history_.begin() + static_cast<ptrdiff_t>(durable_from_), history_.end(),
                  matches)) {
    return {};
  }
  return velafs::Failed("the names are of no moment since the last that was durable");
}

Status Model::AdoptContents(const Namespace& found) {
  std::map<std::string, Files> adopted;
  for (const auto& [branch, names] : found) {
    VELAFS_ASSIGN(const auto open, fixture_.volume().Open(branch));
    for (const auto& [name, ino] : names) {
      VELAFS_ASSIGN(const Attributes said, open->Get(ino));
      std::string content(said.size_bytes, '?');
      VELAFS_TRY(open->Read(ino, 0, std::as_writable_bytes(std::span(content))).status());
      const bool is_known = files_[branch].contains(ino);
      const File& file = files_[branch][is_known ? ino : InodeNumber()];
      VELAFS_TRY(CheckIsMixOf(content, file.since_sync).WithContext(branch + "/" + name));
      adopted[branch][ino] = Durable(std::move(content));
    }
  }
  files_ = std::move(adopted);
  names_ = found;
  ForgetHistory();
  return {};
}

void Model::ForgetHistory() {
  history_ = {names_};
  durable_from_ = 0;
  for (auto& [branch, files] : files_) {
    for (auto& [ino, file] : files) file.named_at = 0;
  }
}

// Every byte of `found` is that byte in one of the states. Bytes past a state's end are zeros.
Status Model::CheckIsMixOf(const std::string& found, const std::vector<std::string>& states) {
  if (std::ranges::find(states, found) != states.end()) return {};
  size_t smallest = SIZE_MAX;
  size_t largest = 0;
  for (const std::string& state : states) {
    smallest = std::min(smallest, state.size());
    largest = std::max(largest, state.size());
  }
  if (found.size() < smallest || found.size() > largest) {
    return velafs::Failed("there are " + std::to_string(found.size()) + " bytes, not " +
                          std::to_string(smallest) + " to " + std::to_string(largest));
  }
  const auto is_known = [&](size_t i) {
    return std::any_of(states.begin(), states.end(), [&](const std::string& state) {
      return found[i] == (i < state.size() ? state[i] : '\0');
    });
  };
  for (size_t i = 0; i < found.size(); ++i) {
    if (!is_known(i)) {
      return velafs::Failed("at " + std::to_string(i) + " is what was never written there");
    }
  }
  return {};
}

void Model::CheckAll() {
  for (const auto& [name, names] : names_) CheckBranch(name);
}

void Model::CheckBranch(const std::string& name) {
  Branch* open = Open(name);
  if (open == nullptr) return;
  uint64_t logical_bytes = 0;
  for (const auto& [file, ino] : names_[name]) {
    const std::string lost = name + " lost " + file;
    REQUIRE_MESSAGE(InodeOf(*open, file) == ino, lost);
    const std::string content = ContentOf(*open, file);
    const std::string& expected = files_[name][ino].content;
    if (content != expected) {
      const auto differs =
          std::mismatch(content.begin(), content.end(), expected.begin(), expected.end());
      FAIL(name, "/", file, " differs at ", differs.first - content.begin(), " of ",
           expected.size());
    }
    logical_bytes += expected.size();
  }
  const auto usage = fixture_.volume().Usage(name);
  REQUIRE(usage.ok());
  CHECK(usage->logical_bytes == logical_bytes);
}

}  // namespace velafs::layer
