// The model's changes of names and attributes.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>

#include "tests/layer/model.h"

namespace velafs::layer {
namespace {

constexpr size_t kMostEntries = 16;

bool IsAny(const TreeEntry&) { return true; }

}  // namespace

void Model::ChangeNames(const std::string& branch) {
  switch (Pick(12)) {
    case 0:
    case 1:
    case 2:
      return Make(branch);
    case 3:
      return Link(branch);
    case 4:
    case 5:
      return Remove(branch);
    case 6:
      return UseWithoutName(branch);
    case 7:
      return SetAttributes(branch);
    case 8:
      return SetTimes(branch);
    default:
      return Rename(branch);
  }
}

void Model::Make(const std::string& branch) {
  const TreeModel& tree = TreeOf(branch);
  const std::string path = PickNewPath(branch);
  if (tree.entries().size() >= kMostEntries) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  NewNode node{.mode = PickOf<uint32_t>({S_IFREG | 0600, S_IFREG | 0644, S_IFDIR | 0700,
                                         S_IFDIR | 0755, S_IFLNK | 0777, S_IFIFO | 0600}),
               .uid = static_cast<uint32_t>(Pick(3)),
               .gid = static_cast<uint32_t>(Pick(3))};
  if (S_ISLNK(node.mode)) node.target = "to/" + std::to_string(Pick(1000));
  const TreeEntry& parent = tree.At(ParentPath(path));
  const auto made = open->Make(parent.ino, NameOf(path), node);
  if (tree.Contains(path)) return ExpectRefused(made.status(), EEXIST);

  TreeEntry entry{.ino = made.ok() ? made->ino : InodeNumber(),
                  .mode = node.mode,
                  .uid = node.uid,
                  .gid = node.gid,
                  .target = node.target};
  if ((parent.mode & S_ISGID) != 0) {
    entry.gid = parent.gid;
    if (entry.IsDirectory()) entry.mode |= S_ISGID;
  }
  const InodeNumber parent_ino = parent.ino;
  TreeModel after = tree;
  after.Add(path, entry);
  if (entry.IsFile() && made.ok()) files_[branch][entry.ino] = Durable("");
  NamesChanged(made.status(), branch, std::move(after), {entry.ino, parent_ino});
}

void Model::Link(const std::string& branch) {
  const auto from = PickPath(branch, IsAny);
  const std::string path = PickNewPath(branch);
  const TreeModel& tree = TreeOf(branch);
  if (!from || tree.entries().size() >= kMostEntries) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  const TreeEntry entry = tree.At(*from);
  const InodeNumber parent = tree.At(ParentPath(path)).ino;
  const Status linked = open->Link(entry.ino, parent, NameOf(path)).status();
  if (entry.IsDirectory()) return ExpectRefused(linked, EPERM);
  if (tree.Contains(path)) return ExpectRefused(linked, EEXIST);
  TreeModel after = tree;
  after.Add(path, entry);
  NamesChanged(linked, branch, std::move(after), {entry.ino, parent});
}

void Model::Remove(const std::string& branch) {
  const auto path = PickPath(branch, IsAny);
  if (!path) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  const TreeModel& tree = TreeOf(branch);
  const TreeEntry& entry = tree.At(*path);
  const InodeNumber parent = tree.At(ParentPath(*path)).ino;
  const std::string name = NameOf(*path);
  const bool as_directory = Pick(8) == 0 ? !entry.IsDirectory() : entry.IsDirectory();
  const Status removed =
      as_directory ? open->RemoveDirectory(parent, name) : open->Unlink(parent, name);
  if (as_directory && !entry.IsDirectory()) return ExpectRefused(removed, ENOTDIR);
  if (!as_directory && entry.IsDirectory()) return ExpectRefused(removed, EISDIR);
  if (as_directory && tree.HasNamesIn(*path)) return ExpectRefused(removed, ENOTEMPTY);
  const InodeNumber ino = entry.ino;
  TreeModel after = tree;
  after.Remove(*path);
  NamesChanged(removed, branch, std::move(after), {ino, parent});
}

// A file that has lost its last name, and is open, is as any other until it is closed.
void Model::UseWithoutName(const std::string& branch) {
  const auto path =
      PickPath(branch, [](const TreeEntry& entry) { return entry.IsFile() && entry.nlink == 1; });
  if (!path) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  const TreeModel& tree = TreeOf(branch);
  const InodeNumber ino = tree.At(*path).ino;
  const InodeNumber parent = tree.At(ParentPath(*path)).ino;
  const std::shared_ptr<Branch> in_use = open_;
  open->Retain(ino);
  TreeModel after = tree;
  after.Remove(*path);
  const Status unlinked = open->Unlink(parent, NameOf(*path));
  if (NamesChanged(unlinked, branch, std::move(after), {ino, parent})) {
    DropIdle(branch);
    Merge();
    File& file = files_[branch][ino];
    const size_t at = Position(file.content.size());
    const std::string data = RandomText(kPageBytes);
    std::string content = file.content;
    if (content.size() < at + data.size()) content.resize(at + data.size());
    content.replace(at, data.size(), data);
    ContentChanged(in_use->Write(ino, at, BytesOf(data)), branch, file, std::move(content));
    std::string read(file.content.size(), '?');
    const Status got = in_use->Read(ino, 0, std::as_writable_bytes(std::span(read))).status();
    if (got.ok()) {
      const bool is_same = has_failed_ || disk_.is_off() || read == file.content;
      REQUIRE_MESSAGE(is_same, branch, "/", *path, " after it lost its name");
    } else {
      Failed(got);
    }
  }
  in_use->Forget(ino, 1);
}

// 0 when it should succeed. The kernel refuses to move a directory into itself.
int Model::ExpectedOfRename(const TreeModel& tree, const std::string& from, const std::string& to,
                            RenameMode mode) const {
  if (!tree.Contains(to)) return mode == RenameMode::kExchange ? ENOENT : 0;
  const TreeEntry& moved = tree.At(from);
  const TreeEntry& replaced = tree.At(to);
  if (mode == RenameMode::kNoReplace) return EEXIST;
  if (moved.ino == replaced.ino || mode == RenameMode::kExchange) return 0;
  if (!moved.IsDirectory()) return replaced.IsDirectory() ? EISDIR : 0;
  if (!replaced.IsDirectory()) return ENOTDIR;
  return tree.HasNamesIn(to) ? ENOTEMPTY : 0;
}

void Model::Rename(const std::string& branch) {
  const auto from = PickPath(branch, IsAny);
  if (!from) return;
  const TreeModel& tree = TreeOf(branch);
  const std::string to =
      Pick(2) == 0 ? PickNewPath(branch) : PickPath(branch, IsAny).value_or(*from);
  if (IsWithin(to, *from) || IsWithin(*from, to)) return;
  const auto mode = PickOf(
      {RenameMode::kReplace, RenameMode::kReplace, RenameMode::kNoReplace, RenameMode::kExchange});
  Branch* open = Open(branch);
  if (open == nullptr) return;
  const InodeNumber source = tree.At(ParentPath(*from)).ino;
  const InodeNumber target = tree.At(ParentPath(to)).ino;
  const Status renamed = open->Rename(source, NameOf(*from), target, NameOf(to), mode);
  const int expected = ExpectedOfRename(tree, *from, to, mode);
  if (expected != 0) return ExpectRefused(renamed, expected);

  const InodeNumber moved = tree.At(*from).ino;
  const InodeNumber replaced = tree.Contains(to) ? tree.At(to).ino : InodeNumber();
  TreeModel after = tree;
  if (moved != replaced) after.Rename(*from, to, mode);
  if (moved == replaced && renamed.ok()) return;
  if (!NamesChanged(renamed, branch, std::move(after), {moved, replaced, source, target})) return;
  if (mode == RenameMode::kExchange) ++counts_.exchanges;
  if (mode == RenameMode::kReplace && replaced) ++counts_.renames_over;
}

void Model::SetAttributes(const std::string& branch) {
  const auto path = PickPath(branch, IsAny);
  if (!path) return;
  Branch* open = Open(branch);
  if (open == nullptr) return;
  AttributeChange change;
  if (Pick(2) == 0) change.mode = PickOf<uint32_t>({0600, 0700, 0644, 02755});
  if (Pick(2) == 0) change.uid = static_cast<uint32_t>(Pick(3));
  if (Pick(2) == 0) change.gid = static_cast<uint32_t>(Pick(3));
  const InodeNumber ino = TreeOf(branch).At(*path).ino;
  TreeModel after = TreeOf(branch);
  after.SetAttributes(ino, change);
  NamesChanged(open->Set(ino, change).status(), branch, std::move(after), {ino});
}

// Of a file: a directory's change with every name.
void Model::SetTimes(const std::string& branch) {
  const auto picked = PickFile(branch);
  if (!picked) return;
  const auto mtime = static_cast<TimeNs>(Pick(1'000'000)) * 1'000'000'000;
  const Status set = picked->open->Set(picked->ino, {.mtime = mtime}).status();
  picked->file->mtime.reset();
  if (!set.ok()) return Failed(set);
  picked->file->mtime = mtime;
}

}  // namespace velafs::layer
