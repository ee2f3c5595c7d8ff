// Copying a tablespace's directory from the host into a branch.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "velafs/store/branch_tablespaces.h"
#include "velafs/store/import/source_open.h"
#include "velafs/store/import/source_tree.h"

namespace velafs::store {
namespace {

using layer::Attributes;
using layer::Branch;
using Kind = SourceEntry::Kind;

constexpr size_t kCopyBufferBytes = 1024 * 1024;

struct NamedInode {
  InodeNumber directory;  // that it is in
  std::string name;
  InodeNumber ino;
};

// Removes the files of a directory of the branch, and adds the directories in it.
Status RemoveFilesIn(Branch& branch, InodeNumber directory, std::vector<NamedInode>* directories) {
  std::vector<std::string> files;
  VELAFS_TRY(branch.List(
      directory, {},
      [&](layer::DirectoryCookie, const std::string& name, const Attributes& attributes) {
        if (name == "." || name == "..") return true;
        if (S_ISDIR(attributes.mode)) {
          directories->push_back({directory, name, attributes.ino});
        } else {
          files.push_back(name);
        }
        return true;
      }));
  for (const std::string& name : files) VELAFS_TRY(branch.Unlink(directory, name));
  return {};
}

// Removes all that is below a directory of the branch, however deep its user has nested that.
Status Empty(Branch& branch, InodeNumber top) {
  std::vector<NamedInode> directories;  // each after the one that it is in
  VELAFS_TRY(RemoveFilesIn(branch, top, &directories));
  for (size_t next = 0; next < directories.size(); ++next) {
    VELAFS_TRY(RemoveFilesIn(branch, directories[next].ino, &directories));
  }
  for (auto last = directories.rbegin(); last != directories.rend(); ++last) {
    VELAFS_TRY(branch.RemoveDirectory(last->directory, last->name));
  }
  return {};
}

// One thread.
class Copier {
 public:
  // What it makes is owned as `like` is.
  Copier(Branch& branch, const Source& source, const Attributes& like)
      : branch_(branch), source_(source), like_(like), buffer_(kCopyBufferBytes) {}

  // What is below the source's top goes below `directory`.
  Status Copy(InodeNumber directory) {
    std::vector<InodeNumber> made(source_.entries.size());
    made[0] = directory;
    for (uint32_t i = 1; i < source_.entries.size(); ++i) {
      VELAFS_ASSIGN(made[i], CopyOne(i, made));
    }
    VELAFS_TRY(branch_.Sync(directory, os::SyncKind::kFull));
    for (uint32_t i = 1; i < source_.entries.size(); ++i) {
      if (source_.entries[i].kind != Kind::kFile) continue;
      VELAFS_ASSIGN(const os::UniqueFd unchanged, source_.Open(i));
    }
    return {};
  }

 private:
  Result<InodeNumber> CopyOne(uint32_t index, const std::vector<InodeNumber>& made) {
    const SourceEntry& entry = source_.entries[index];
    const InodeNumber directory = made[entry.parent];
    if (entry.kind != Kind::kDirectory && entry.kind != Kind::kFile) {
      return Refused("\"" + source_.SourcePath(index) + "\" is neither a directory nor a file");
    }
    const bool is_directory = entry.kind == Kind::kDirectory;
    VELAFS_ASSIGN(const Attributes node,
                  branch_.Make(directory, entry.name,
                               {(is_directory ? S_IFDIR : S_IFREG) | (is_directory ? 0700u : 0600u),
                                like_.uid, like_.gid}));
    if (is_directory) return node.ino;
    VELAFS_ASSIGN(const os::UniqueFd fd, source_.Open(index));
    const uint64_t size = source_.SizeOf(index);
    for (uint64_t at = 0; at < size;) {
      const auto part = std::span(buffer_).first(std::min<uint64_t>(buffer_.size(), size - at));
      VELAFS_TRY(source_.Read(index, fd.get(), at, part));
      VELAFS_TRY(branch_.Write(node.ino, at, part));
      at += part.size();
    }
    VELAFS_TRY(branch_.Sync(node.ino, os::SyncKind::kFull));
    branch_.Forget(node.ino, 0);
    return node.ino;
  }

  Branch& branch_;
  const Source& source_;
  const Attributes like_;
  std::vector<std::byte> buffer_;
};

// The files of a tablespace, as the reader may see them.
Result<Source> FindTablespaceFiles(const std::string& directory, const os::Credentials& reader) {
  VELAFS_ASSIGN(const os::ActingAs acting, os::ActingAs::Begin(reader));
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(directory.c_str(), nullptr),
                                                         std::free);
  if (real == nullptr) return SystemError(errno, "cannot read \"" + directory + "\"");
  Source source;
  source.reader = reader;
  SourceTree tree(source);
  VELAFS_TRY(tree.WalkTablespace(real.get()));
  if (!tree.problems.empty()) return Refused("it cannot be copied: " + tree.problems.front());
  if (source.entries.size() == 1) {
    return Refused("\"" + directory + "\" contains no tablespace");
  }
  return source;
}

}  // namespace

Status CopyOldTablespace(Branch& branch, const std::string& oid, const std::string& from,
                         const os::Credentials& reader) {
  VELAFS_ASSIGN(const Source source, FindTablespaceFiles(from, reader));
  VELAFS_ASSIGN(const Attributes like, branch.Lookup(branch.root(), "PG_VERSION"));
  const layer::NewNode new_directory{S_IFDIR | 0700, like.uid, like.gid};
  Result<Attributes> all = branch.Lookup(branch.root(), kOldTablespaces);
  if (!all.ok()) {
    all = branch.Make(branch.root(), kOldTablespaces, new_directory);
  }
  VELAFS_TRY(all.status());
  Result<Attributes> place = branch.Lookup(all->ino, oid);
  if (!place.ok()) {
    place = branch.Make(all->ino, oid, new_directory);
  }
  VELAFS_TRY(place.status());
  if (!S_ISDIR(place->mode)) {
    return Refused(std::string("\"") + kOldTablespaces + "/" + oid + "\" is in the way");
  }
  VELAFS_TRY(Empty(branch, place->ino));  // of one that was interrupted
  return Copier(branch, source, like).Copy(place->ino);
}

}  // namespace velafs::store
