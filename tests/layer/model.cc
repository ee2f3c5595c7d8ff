#include "tests/layer/model.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace velafs::layer {
namespace {

constexpr size_t kNames = 8;
constexpr int kMostDirectoriesDeep = 3;
const std::string kModelDirectory = "/disk/store";

test::VolatileStorage& Prepared(test::VolatileStorage& disk) {
  disk.MakeDurableDirectories(kModelDirectory);
  return disk;
}

}  // namespace

Model::Model(unsigned seed, size_t max_file_bytes)
    : random_(seed),
      max_file_bytes_(max_file_bytes),
      disk_(seed),
      sqlite_on_disk_(kModelDirectory, Prepared(disk_)),
      fixture_(disk_, kModelDirectory) {
  std::map<std::string, std::string> source;
  for (int i = 0; i < 4; ++i) source["name" + std::to_string(i)] = RandomText(Pick(max_file_bytes));
  source["holes"] = std::string(max_file_bytes * 2 / 3, '\0') + RandomText(5'000);
  fixture_.MakeSource("main", source);
  const auto main = Open("main");
  TreeModel tree = TreeModel::WithRoot(main->root());
  for (const auto& [name, content] : source) {
    const InodeNumber ino = InodeOf(*main, name);
    tree.Add(name, {.ino = ino, .mode = S_IFREG | 0600});
    files_["main"][ino] = Durable(content);
  }
  trees_["main"] = std::make_shared<const TreeModel>(std::move(tree));
  Reopen();
}

void Model::Step(bool with_crashes) {
  const std::string branch = PickBranch();
  if (Pick(8) == 0) DropIdle(branch);
  switch (Pick(with_crashes ? 34 : 30)) {
    case 0:
      return Clone(branch);
    case 1:
      return RemoveBranch(branch);
    case 2:
      return Merge();
    case 3:
      return Seal();
    case 4:
      return CheckBranch(branch);
    case 5:
      return Limit(branch);
    case 6:
    case 7:
    case 8:
      return Sync(branch);
    case 9:
    case 10:
      return Truncate(branch);
    case 11:
      return Allocate(branch);
    case 12:
    case 13:
      return Zero(branch);
    case 14:
    case 15:
    case 16:
    case 17:
    case 18:
    case 19:
    case 20:
    case 21:
      return ChangeNames(branch);
    case 30:
      return Reopen();
    case 31:
      return KillProcess();
    case 32:
      return CutPower();
    case 33:
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
  return std::next(trees_.begin(), static_cast<ptrdiff_t>(Pick(trees_.size())))->first;
}

std::optional<std::string> Model::PickPath(const std::string& branch, EntryFilter filter) {
  std::vector<std::string> paths;
  for (const auto& [path, entry] : TreeOf(branch).entries()) {
    if (!path.empty() && filter(entry)) paths.push_back(path);
  }
  if (paths.empty()) return std::nullopt;
  return paths[Pick(paths.size())];
}

std::string Model::PickDirectory(const std::string& branch) {
  if (Pick(3) == 0) return "";
  return PickPath(branch, [](const TreeEntry& entry) { return entry.IsDirectory(); }).value_or("");
}

// Sometimes one that is there already, or was before.
std::string Model::PickNewPath(const std::string& branch) {
  std::string directory = PickDirectory(branch);
  if (std::ranges::count(directory, '/') >= kMostDirectoriesDeep) directory = "";
  return JoinPath(directory, "name" + std::to_string(Pick(kNames)));
}

std::optional<Model::PickedFile> Model::PickFile(const std::string& branch) {
  const auto path = PickPath(branch, [](const TreeEntry& entry) { return entry.IsFile(); });
  if (!path) return std::nullopt;
  const InodeNumber ino = TreeOf(branch).At(*path).ino;
  Branch* const open = Open(branch);
  if (open == nullptr) return std::nullopt;
  return PickedFile{ino, &files_[branch][ino], open};
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

void Model::ExpectRefused(const Status& done, int error_number) {
  if (done.error_number() == error_number) return;
  REQUIRE_FALSE(done.ok());
  Failed(done);
}

bool Model::IsOverQuota(const Status& done, const std::string& branch) {
  const bool is_over = done.error_number() == EDQUOT && limited_.contains(branch);
  if (is_over) ++counts_.refused_by_quota;
  return is_over;
}

// Nothing fails unless the disk does.
void Model::Failed(const Status& status) {
  const bool struck = disk_.is_off() || !disk_.CancelFailure() || has_failed_;
  REQUIRE_MESSAGE(struck, status.message());
  has_failed_ = true;
}

bool Model::BranchesChanged(const Status& done, Trees after) {
  history_.push_back(after);
  if (!done.ok()) {
    Failed(done);
    return false;
  }
  trees_ = std::move(after);
  return true;
}

bool Model::NamesChanged(const Status& done, const std::string& branch, TreeModel after,
                         std::initializer_list<InodeNumber> touched) {
  if (IsOverQuota(done, branch)) return false;
  Trees trees = trees_;
  trees[branch] = std::make_shared<const TreeModel>(std::move(after));
  for (const InodeNumber ino : touched) changed_at_[{branch, ino}] = history_.size();
  return BranchesChanged(done, std::move(trees));
}

void Model::ContentChanged(const Status& done, const std::string& branch, File& file,
                           std::string content) {
  if (IsOverQuota(done, branch)) return;
  file.mtime.reset();
  file.since_sync.push_back(content);
  if (done.ok()) {
    file.content = std::move(content);
  } else {
    Failed(done);
  }
}

void Model::CheckAll() {
  for (const auto& [name, tree] : trees_) CheckBranch(name);
}

void Model::CheckBranch(const std::string& name) {
  Branch* open = Open(name);
  if (open == nullptr) return;
  const auto found = TreeModel::Read(*open);
  if (!found.ok()) return Failed(found.status());
  REQUIRE_MESSAGE(found->Matches(TreeOf(name)), name, ": ", found->FirstDifference(TreeOf(name)));
  CheckContents(name, *open);
}

void Model::CheckContents(const std::string& name, Branch& open) {
  uint64_t logical_bytes = 0;
  std::set<InodeNumber> seen;
  for (const auto& named : TreeOf(name).entries()) {
    const std::string& path = named.first;
    const auto& entry = named.second;
    if (!entry.IsFile() || !seen.insert(entry.ino).second) continue;
    const File& file = files_[name][entry.ino];
    const auto shown = open.Get(entry.ino);
    REQUIRE(shown.ok());
    std::string content(shown->size_bytes, '?');
    const Status read =
        open.Read(entry.ino, 0, std::as_writable_bytes(std::span(content))).status();
    if (!read.ok()) return Failed(read);
    if (content != file.content) {
      const auto differs =
          std::mismatch(content.begin(), content.end(), file.content.begin(), file.content.end());
      FAIL(name, "/", path, " differs at ", differs.first - content.begin(), " of ",
           file.content.size());
    }
    if (file.mtime) REQUIRE_MESSAGE(shown->mtime == *file.mtime, name, "/", path);
    logical_bytes += file.content.size();
  }
  const auto usage = fixture_.volume().Usage(name);
  if (!usage.ok()) return Failed(usage.status());
  CHECK(usage->logical_bytes == logical_bytes);
}

}  // namespace velafs::layer
