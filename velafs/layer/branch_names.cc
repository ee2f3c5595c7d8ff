// Branch: names. Every change is one catalog transaction, and shows in memory once that has
// committed.
#include <sys/stat.h>

#include <cerrno>

#include "velafs/layer/branch.h"
#include "velafs/layer/branch_inode.h"
#include "velafs/layer/server_files.h"

namespace velafs::layer {
namespace {

constexpr size_t kMaxNameBytes = 255;
constexpr uint32_t kMaxLinks = 65000;  // as ext4 has it

Status CheckFileName(std::string_view name) {
  return name.size() > kMaxNameBytes ? Errno(ENAMETOOLONG) : Status();
}

// The row of a directory whose names change now.
catalog::InodeRow Touched(const catalog::InodeRow& directory, TimeNs now) {
  catalog::InodeRow row = directory;
  row.mtime = now;
  row.ctime = now;
  return row;
}

// The first row of an inode that is made in `directory` now.
catalog::InodeRow RowOfNew(InodeNumber ino, const NewNode& node, const catalog::InodeRow& directory,
                           TimeNs now) {
  const bool is_directory = S_ISDIR(node.mode);
  const bool gives_group = (directory.mode & S_ISGID) != 0;
  return {.ino = ino,
          .mode = node.mode | (is_directory && gives_group ? S_ISGID : 0u),
          .uid = node.uid,
          .gid = gives_group ? directory.gid : node.gid,
          .nlink = is_directory ? 2u : 1u,
          .rdev = node.rdev,
          .atime = now,
          .mtime = now,
          .ctime = now,
          .target = node.target,
          .born_here = true};
}

// Whether a rename may change these two names; `replaced` is none if the new one is free.
Status CheckRename(InodeNumber moved, InodeNumber replaced, RenameMode mode) {
  if (!moved) return Errno(ENOENT);
  if (mode == RenameMode::kNoReplace && replaced) return Errno(EEXIST);
  return mode == RenameMode::kExchange && !replaced ? Errno(ENOENT) : Status();
}

}  // namespace

Result<Directory*> Branch::NamesOf(Inode& directory) {
  {
    ReaderLock lock(directory.content_lock);
    if (directory.names) return directory.names.get();
  }
  WriterLock lock(directory.content_lock);
  if (directory.names) return directory.names.get();
  auto names = std::make_unique<Directory>(chain_->head_id());
  // All in one transaction: a merge moves names and rows from one layer to another.
  const auto load = [&](catalog::Reader& reader) REQUIRES_SHARED(namespace_) -> Status {
    return catalog::ChainView(reader, chain_->order())
        .ForEachLayerOf(directory.ino,
                        [&](LayerId layer, const std::vector<catalog::NameRow>& rows) {
                          names->Apply(layer, rows);
                        });
  };
  VELAFS_TRY(host_.parts().catalog.Read(load));
  const bool is_frozen_state = !instance_;
  if (is_frozen_state && directory.ino == root_) {
    for (const std::string_view name : kServerFiles) names->Remove(name);
  }
  directory.names = std::move(names);
  directory.CountNames();
  host_.NoteLoaded(directory.names->size() * Inode::kNameBytes);
  return directory.names.get();
}

Result<Directory*> Branch::NamesForChange(Inode& directory) {
  if (directory.row.nlink == 0)
    return Errno(ENOENT);  // removed, and still somebody's working directory
  VELAFS_ASSIGN(Directory * names, NamesOf(directory));
  const LayerId head = chain_->head_id();
  if (names->head() != head) names->MoveTo(head);
  return names;
}

Status Branch::SyncBelowHead(Inode& inode) {
  std::vector<std::shared_ptr<PageFile>> files;
  {
    ReaderLock content(inode.content_lock);
    if (inode.content) files = inode.content->DirtyFiles();
  }
  for (const auto& file : files) {
    if (file->layer_id() == head_->id()) continue;
    Status synced = file->Sync(os::SyncKind::kData);
    if (!synced.ok()) return SyncFailed(file->layer(), std::move(synced));
  }
  return {};
}

Status Branch::Commit(const std::vector<RowChange>& rows, const std::vector<NameChange>& names) {
  const LayerId head = head_->id();
  for (const RowChange& change : rows) {
    if (change.row.nlink > 0) VELAFS_TRY(SyncBelowHead(*change.inode));
  }
  std::vector<Directory*> directories;
  for (const NameChange& change : names) {
    VELAFS_ASSIGN(Directory * directory, NamesForChange(*change.directory));
    directories.push_back(directory);
  }
  const auto write = [&](catalog::Writer& writer) -> Status {
    for (const RowChange& change : rows) VELAFS_TRY(WriteRow(writer, head, change));
    for (size_t i = 0; i < names.size(); ++i) {
      const NameChange& change = names[i];
      if (change.ino || directories[i]->IsBelow(change.name)) {
        VELAFS_TRY(writer.PutName(head, {change.directory->ino, change.name, change.ino}));
      } else {
        VELAFS_TRY(writer.RemoveName(head, change.directory->ino, change.name));
      }
    }
    return {};
  };
  VELAFS_ASSIGN(const auto commit, host_.parts().catalog.Write(write));

  for (const RowChange& change : rows) ApplyRow(change, commit);
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].ino) {
      directories[i]->Set(names[i].name, names[i].ino);
      if (InodePtr named = FindKnown(names[i].ino)) named->changed_at = commit;
    } else {
      directories[i]->Remove(names[i].name);
    }
    names[i].directory->changed_at = commit;
    WriterLock counting(names[i].directory->content_lock);
    names[i].directory->CountNames();
  }
  MutexLock lock(inodes_lock_);
  for (const RowChange& change : rows) DropIfGone(change.inode);
  return {};
}

Status Branch::WriteRow(catalog::Writer& writer, LayerId head, const RowChange& change) {
  catalog::InodeRow row = change.row;
  row.born_here = change.inode->born_layer == head;
  row.inherited_bytes.reset();
  if (row.born_here && row.nlink == 0) return writer.RemoveInode(head, row.ino);
  return writer.PutInode(head, row);
}

void Branch::ApplyRow(const RowChange& change, catalog::CommitSequence commit) {
  Inode& inode = *change.inode;
  const bool goes = change.row.nlink == 0 && !inode.is_gone;
  inode.row = change.row;
  inode.row_layer = head_->id();
  inode.changed_at = commit;
  if (!goes) return;
  inode.gone_layer = head_->id();
  inode.gone_commit = commit;
  WriterLock content(inode.content_lock);
  if (inode.content) logical_bytes_ -= inode.content->size_bytes();
  inode.is_gone = true;
}

Result<Attributes> Branch::Lookup(InodeNumber directory, std::string_view name) {
  ReaderLock lock(namespace_);
  VELAFS_ASSIGN(const InodePtr parent, FindDirectory(directory));
  VELAFS_TRY(CheckFileName(name));
  VELAFS_ASSIGN(Directory * names, NamesOf(*parent));
  const InodeNumber ino = names->Find(name);
  if (!ino) return Errno(ENOENT);
  VELAFS_ASSIGN(const InodePtr inode, Find(ino));
  inode->parent = directory;
  return AttributesOf(*inode);
}

Result<InodeNumber> Branch::Parent(InodeNumber directory) {
  ReaderLock lock(namespace_);
  VELAFS_ASSIGN(const InodePtr inode, FindDirectory(directory));
  const InodeNumber known = inode->parent;
  if (known || directory == root_ || inode->is_gone) return known;
  // It has left memory before the kernel referred to it.
  if (const auto place = FindPlace(directory)) inode->parent = place->directory;
  return inode->parent.load();
}

Status Branch::List(InodeNumber directory, DirectoryCookie after, const DirectoryVisit& visit) {
  ReaderLock lock(namespace_);
  VELAFS_ASSIGN(const InodePtr parent, FindDirectory(directory));
  VELAFS_ASSIGN(Directory * names, NamesOf(*parent));
  for (auto entry = names->After(after); entry != names->end(); ++entry) {
    if (!entry->second.ino) continue;
    VELAFS_ASSIGN(const InodePtr inode, Find(entry->second.ino));
    inode->parent = directory;
    VELAFS_ASSIGN(const Attributes attributes, AttributesOf(*inode));
    if (!visit(entry->first, entry->second.name, attributes)) break;
  }
  return {};
}

Result<std::string> Branch::ReadLink(InodeNumber ino) {
  VELAFS_TRY(CheckAlive());
  ReaderLock lock(namespace_);
  VELAFS_ASSIGN(const InodePtr inode, Find(ino));
  if (!S_ISLNK(inode->row.mode)) return Errno(EINVAL);
  return inode->row.target;
}

Status Branch::ClaimNameBytes(uint64_t text_bytes) {
  const uint64_t bytes = 2 * catalog::kRowBytes + text_bytes;
  if (name_allowance_.Take(bytes)) return {};
  std::vector<LayerId> own;
  for (const ChainLink& link : chain_->links()) {
    if (link.layer->id() >= first_layer_) own.push_back(link.layer->id());
  }
  uint64_t used = 0;
  VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
    for (const LayerId layer : own) {
      VELAFS_ASSIGN(const uint64_t of_layer, reader.NamesBytes(layer));
      used += of_layer;
    }
    return {};
  }));
  name_allowance_.SetUsed(used);
  return name_allowance_.Take(bytes) ? Status() : Errno(EDQUOT);
}

Result<Attributes> Branch::Make(InodeNumber directory, std::string_view name, const NewNode& node) {
  ReaderLock gate(gate_);
  VELAFS_TRY(CheckChangeable());
  VELAFS_TRY(CheckFileName(name));
  VELAFS_TRY(NoteChange());
  WriterLock lock(namespace_);
  VELAFS_ASSIGN(const InodePtr parent, FindDirectory(directory));
  VELAFS_ASSIGN(Directory * names, NamesForChange(*parent));
  if (names->Find(name)) return Errno(EEXIST);
  VELAFS_TRY(ClaimNameBytes(name.size() + node.target.size()));
  const TimeNs now = host_.Now();
  VELAFS_ASSIGN(const InodeNumber ino, host_.NewInodeNumber());
  auto inode = std::make_shared<Inode>(ino, loaded_bytes_);
  inode->last_used = round_.load();
  inode->parent = directory;
  inode->born_layer = inode->row_layer = head_->id();
  inode->row = RowOfNew(ino, node, parent->row, now);
  if (inode->IsFile()) {
    WriterLock content(inode->content_lock);
    inode->content = FileContent::Empty(ino, inode->born_layer);
    VELAFS_TRY(inode->content->MakePageFile(*head_));
  }
  catalog::InodeRow parent_row = Touched(parent->row, now);
  if (inode->IsDirectory()) ++parent_row.nlink;
  if (Status made =
          Commit({{inode, inode->row}, {parent, parent_row}}, {{parent, std::string(name), ino}});
      !made.ok()) {
    static_cast<void>(head_->Discard(ino));
    return made;
  }
  host_.NoteLoaded(Inode::kInodeBytes + Inode::kNameBytes);
  {
    MutexLock known(inodes_lock_);
    inodes_.emplace(ino, inode);
  }
  return AttributesOf(*inode);
}

Result<Attributes> Branch::Link(InodeNumber ino, InodeNumber directory, std::string_view name) {
  ReaderLock gate(gate_);
  VELAFS_TRY(CheckChangeable());
  VELAFS_TRY(CheckFileName(name));
  VELAFS_TRY(NoteChange());
  WriterLock lock(namespace_);
  VELAFS_ASSIGN(const InodePtr parent, FindDirectory(directory));
  VELAFS_ASSIGN(const InodePtr inode, Find(ino));
  if (inode->IsDirectory()) return Errno(EPERM);
  if (inode->row.nlink == 0) return Errno(ENOENT);
  if (inode->row.nlink >= kMaxLinks) return Errno(EMLINK);
  VELAFS_ASSIGN(Directory * names, NamesForChange(*parent));
  if (names->Find(name)) return Errno(EEXIST);
  VELAFS_TRY(ClaimNameBytes(name.size()));
  const TimeNs now = host_.Now();
  VELAFS_ASSIGN(catalog::InodeRow row, CurrentRow(*inode));
  row.ctime = now;
  ++row.nlink;
  VELAFS_TRY(Commit({{inode, row}, {parent, Touched(parent->row, now)}},
                    {{parent, std::string(name), ino}}));
  return AttributesOf(*inode);
}

Status Branch::Unlink(InodeNumber directory, std::string_view name) {
  return host_.parts().reserve.Run([&] { return RemoveName(directory, name, false); });
}

Status Branch::RemoveDirectory(InodeNumber directory, std::string_view name) {
  return host_.parts().reserve.Run([&] { return RemoveName(directory, name, true); });
}

Status Branch::RemoveName(InodeNumber directory, std::string_view name, bool is_directory) {
  ReaderLock gate(gate_);
  VELAFS_TRY(CheckChangeable());
  VELAFS_TRY(NoteChange());
  WriterLock lock(namespace_);
  VELAFS_ASSIGN(const InodePtr parent, FindDirectory(directory));
  VELAFS_ASSIGN(Directory * names, NamesForChange(*parent));
  const InodeNumber ino = names->Find(name);
  if (!ino) return Errno(ENOENT);
  VELAFS_ASSIGN(const InodePtr inode, Find(ino));
  const TimeNs now = host_.Now();
  catalog::InodeRow parent_row = Touched(parent->row, now);
  VELAFS_ASSIGN(catalog::InodeRow row, CurrentRow(*inode));
  row.ctime = now;
  if (is_directory) {
    if (!inode->IsDirectory()) return Errno(ENOTDIR);
    VELAFS_ASSIGN(const Directory* inside, NamesOf(*inode));
    if (!inside->IsEmpty()) return Errno(ENOTEMPTY);
    row.nlink = 0;
    --parent_row.nlink;
  } else {
    if (inode->IsDirectory()) return Errno(EISDIR);
    --row.nlink;
  }
  return Commit({{inode, row}, {parent, parent_row}}, {{parent, std::string(name), InodeNumber()}});
}

Status Branch::CheckReplaceable(Inode& moved, Inode& replaced) {
  if (!moved.IsDirectory()) return replaced.IsDirectory() ? Errno(EISDIR) : Status();
  if (!replaced.IsDirectory()) return Errno(ENOTDIR);
  VELAFS_ASSIGN(const Directory* inside, NamesOf(replaced));
  return inside->IsEmpty() ? Status() : Errno(ENOTEMPTY);
}

Result<Branch::RowChange> Branch::ChangeReplaced(InodeNumber ino, Inode& moved, RenameMode mode,
                                                 TimeNs now) {
  VELAFS_ASSIGN(const InodePtr replaced, Find(ino));
  VELAFS_ASSIGN(catalog::InodeRow row, CurrentRow(*replaced));
  row.ctime = now;
  if (mode != RenameMode::kExchange) {
    VELAFS_TRY(CheckReplaceable(moved, *replaced));
    row.nlink = replaced->IsDirectory() ? 0 : row.nlink - 1;
  }
  return RowChange{replaced, std::move(row)};
}

Status Branch::Rename(InodeNumber from, std::string_view from_name, InodeNumber to,
                      std::string_view to_name, RenameMode mode) {
  ReaderLock gate(gate_);
  VELAFS_TRY(CheckChangeable());
  VELAFS_TRY(CheckFileName(to_name));
  VELAFS_TRY(NoteChange());
  WriterLock lock(namespace_);
  VELAFS_ASSIGN(const InodePtr source, FindDirectory(from));
  VELAFS_ASSIGN(const InodePtr target, FindDirectory(to));
  VELAFS_ASSIGN(Directory * source_names, NamesForChange(*source));
  VELAFS_ASSIGN(Directory * target_names, NamesForChange(*target));
  const InodeNumber moved_ino = source_names->Find(from_name);
  const InodeNumber replaced_ino = target_names->Find(to_name);
  VELAFS_TRY(CheckRename(moved_ino, replaced_ino, mode));
  if (moved_ino == replaced_ino) return {};  // two names of one file: POSIX leaves both

  VELAFS_ASSIGN(const InodePtr moved, Find(moved_ino));
  const TimeNs now = host_.Now();
  catalog::InodeRow source_row = Touched(source->row, now);
  catalog::InodeRow target_row = Touched(target->row, now);
  catalog::InodeRow& target_links = source == target ? source_row : target_row;
  VELAFS_ASSIGN(catalog::InodeRow moved_row, CurrentRow(*moved));
  moved_row.ctime = now;
  std::vector<RowChange> rows;
  std::vector<NameChange> names = {{target, std::string(to_name), moved_ino}};
  if (moved->IsDirectory()) {
    --source_row.nlink;
    ++target_links.nlink;
  }
  if (replaced_ino) {
    VELAFS_ASSIGN(RowChange replaced, ChangeReplaced(replaced_ino, *moved, mode, now));
    if (replaced.inode->IsDirectory()) {
      --target_links.nlink;
      if (mode == RenameMode::kExchange) ++source_row.nlink;
    }
    rows.push_back(std::move(replaced));
  }
  const InodeNumber left_behind = mode == RenameMode::kExchange ? replaced_ino : InodeNumber();
  names.push_back({source, std::string(from_name), left_behind});
  rows.push_back({moved, moved_row});
  rows.push_back({source, source_row});
  if (source != target) rows.push_back({target, target_row});
  VELAFS_TRY(Commit(rows, names));
  moved->parent = to;
  if (mode == RenameMode::kExchange) rows.front().inode->parent = from;  // what it changed with
  return {};
}

}  // namespace velafs::layer
