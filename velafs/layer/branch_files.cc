// Branch: attributes, and the content of regular files.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "velafs/layer/branch.h"
#include "velafs/layer/branch_inode.h"

namespace velafs::layer {
namespace {

constexpr uint32_t kPermissionBits = 07777;

}  // namespace

Result<Attributes> Branch::Get(InodeNumber ino) {
  VELAFS_TRY(CheckAlive());
  ReaderLock names(namespace_);
  VELAFS_ASSIGN(const InodePtr inode, Find(ino));
  return AttributesOf(*inode);
}

Result<Attributes> Branch::AttributesOf(Inode& inode) {
  const catalog::InodeRow& row = inode.row;
  Attributes attributes{.ino = inode.ino,
                        .mode = row.mode,
                        .nlink = row.nlink,
                        .uid = row.uid,
                        .gid = row.gid,
                        .rdev = row.rdev,
                        .size_bytes = row.size_bytes,
                        .allocated_bytes = 0,
                        .atime = row.atime,
                        .mtime = row.mtime,
                        .ctime = row.ctime};
  if (S_ISLNK(row.mode)) attributes.size_bytes = row.target.size();
  if (inode.IsDirectory()) attributes.size_bytes = kPageBytes;
  if (!inode.IsFile()) return attributes;

  ReaderLock content(inode.content_lock);
  attributes.size_bytes = inode.content->size_bytes();
  // Inherited pages occupy space in lower layers; a file is shown as if it were its own.
  attributes.allocated_bytes = (attributes.size_bytes + 4095) / 4096 * 4096;
  if (PageFile* file = inode.content->TimesFrom(inode.row_layer)) {
    VELAFS_ASSIGN(const os::FileInfo info, file->Stat());
    if (file->inherited_bytes() == 0) attributes.allocated_bytes = info.allocated_bytes;
    attributes.mtime = host_.Rounded(info.mtime);
    attributes.ctime = std::max(row.ctime, host_.Rounded(info.ctime));
  }
  return attributes;
}

Result<catalog::InodeRow> Branch::CurrentRow(Inode& inode) {
  catalog::InodeRow row = inode.row;
  if (!inode.IsFile()) return row;
  VELAFS_ASSIGN(const Attributes now, AttributesOf(inode));
  {
    ReaderLock content(inode.content_lock);
    row.size_bytes = inode.content->SizeForRow(*head_);
  }
  row.atime = now.atime;
  row.mtime = now.mtime;
  row.ctime = now.ctime;
  return row;
}

Result<catalog::InodeRow> Branch::RowOf(InodeNumber ino) {
  VELAFS_TRY(CheckAlive());
  ReaderLock gate(gate_);
  ReaderLock names(namespace_);
  VELAFS_ASSIGN(const InodePtr inode, Find(ino));
  VELAFS_ASSIGN(catalog::InodeRow row, CurrentRow(*inode));
  row.born_here = inode->born_layer == head_->id();
  return row;
}

Result<Attributes> Branch::Set(InodeNumber ino, const AttributeChange& change) {
  if (change.size_bytes) {
    if (*change.size_bytes > kMaxFileBytes) return Errno(EFBIG);
    const auto truncate = [&](FileContent& content, Layer& head) {
      return content.Truncate(head, *change.size_bytes);
    };
    VELAFS_TRY(host_.parts().reserve.Run([&] { return ChangeContent(ino, truncate); }));
  }
  const bool is_rest_empty =
      !change.mode && !change.uid && !change.gid && !change.atime && !change.mtime;
  if (change.size_bytes && is_rest_empty) return Get(ino);

  ReaderLock gate(gate_);
  VELAFS_TRY(CheckChangeable());
  VELAFS_TRY(NoteChange());
  WriterLock names(namespace_);
  VELAFS_ASSIGN(const InodePtr inode, Find(ino));
  VELAFS_ASSIGN(catalog::InodeRow row, CurrentRow(*inode));
  row.mode = (row.mode & ~kPermissionBits) | (change.mode.value_or(row.mode) & kPermissionBits);
  row.uid = change.uid.value_or(row.uid);
  row.gid = change.gid.value_or(row.gid);
  row.atime = change.atime.value_or(row.atime);
  row.mtime = change.mtime.value_or(row.mtime);
  row.ctime = host_.Now();

  // Where the head has a page file, the time of modification lives with it.
  PageFile* own = nullptr;
  {
    ReaderLock content(inode->content_lock);
    if (inode->content) own = inode->content->OwnFile(*head_);
  }
  if (own != nullptr && change.mtime) VELAFS_TRY(own->SetTimes(row.atime, row.mtime));
  if (own == nullptr || !change.mtime || change.mode || change.uid || change.gid || change.atime) {
    VELAFS_TRY(Commit({{inode, row}}, {}));
  }
  return AttributesOf(*inode);
}

Status Branch::ChangeContent(InodeNumber ino,
                             const std::function<Status(FileContent&, Layer& head)>& change) {
  ReaderLock gate(gate_);
  VELAFS_TRY(CheckChangeable());
  VELAFS_TRY(NoteChange());
  VELAFS_ASSIGN(const InodePtr inode, FindFile(ino));
  WriterLock content(inode->content_lock);
  const uint64_t before = inode->content->size_bytes();
  Status status = change(*inode->content, *head_);
  if (!inode->is_gone)
    logical_bytes_ += inode->content->size_bytes() - before;  // may wrap: a decrease
  return status;
}

Status Branch::GrowContent(InodeNumber ino, const NewBytes& new_bytes,
                           const std::function<Status(FileContent&, Layer& head)>& change) {
  if (!allowance_.IsLimited()) return ChangeContent(ino, change);
  bool is_refused = false;
  const auto change_if_allowed = [&](FileContent& content, Layer& head) -> Status {
    VELAFS_ASSIGN(const uint64_t bytes, new_bytes(content, head));
    is_refused = !allowance_.Take(bytes);
    return is_refused ? Errno(EDQUOT) : change(content, head);
  };
  Status status = ChangeContent(ino, change_if_allowed);
  if (!is_refused) return status;
  VELAFS_TRY(CountSpace());
  return ChangeContent(ino, change_if_allowed);
}

Status Branch::CountSpace() {
  uint64_t used = 0;
  for (const auto& layer : Layers()) {
    if (layer->id() < first_layer_) break;
    VELAFS_ASSIGN(const uint64_t bytes, layer->AllocatedBytes({}));
    used += bytes;
    VELAFS_TRY(host_.parts().catalog.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(const auto row, reader.FindLayer(layer->id()));
      if (row) used += row->stored_bytes;
      return {};
    }));
  }
  allowance_.SetUsed(used);
  return {};
}

Result<size_t> Branch::Read(InodeNumber ino, uint64_t offset_bytes, std::span<std::byte> into) {
  Status read;
  size_t length = 0;
  while (true) {
    VELAFS_ASSIGN(const InodePtr inode, FindFile(ino));
    ReaderLock content(inode->content_lock);
    if (inode->is_forgotten) continue;
    const uint64_t size = inode->content->size_bytes();
    if (offset_bytes >= size) return size_t{0};
    length = std::min<uint64_t>(into.size(), size - offset_bytes);
    read = inode->content->Read(offset_bytes, into.first(length));
    break;
  }
  if (read.ok()) return length;
  if (read.code() != Code::kCorrupt) return read;
  return std::move(read).WithContext("\"" + PathOf(ino) + "\" of branch " + QuotedName());
}

std::string Branch::PathOf(InodeNumber ino) {
  ReaderLock names(namespace_);
  const std::optional<Place> place = FindPlace(ino);
  return place ? place->path : "inode " + std::to_string(ino.value);
}

std::optional<Branch::Place> Branch::FindPlace(InodeNumber ino) {
  std::vector<Place> to_visit = {{root_, ""}};
  while (!to_visit.empty()) {
    const Place at = std::move(to_visit.back());
    to_visit.pop_back();
    const Result<InodePtr> directory = Find(at.directory);
    if (!directory.ok() || !(*directory)->IsDirectory()) continue;
    const Result<Directory*> entries = NamesOf(**directory);
    if (!entries.ok()) continue;
    for (auto entry = (*entries)->After(0); entry != (*entries)->end(); ++entry) {
      std::string path = at.path + entry->second.name;
      if (entry->second.ino == ino) return Place{at.directory, std::move(path)};
      if (entry->second.ino) to_visit.push_back({entry->second.ino, path + "/"});
    }
  }
  return std::nullopt;
}

Status Branch::Write(InodeNumber ino, uint64_t offset_bytes, std::span<const std::byte> data) {
  if (data.empty()) return {};
  const ByteRange range = {offset_bytes, data.size()};
  if (!range.IsWithin(kMaxFileBytes)) return Errno(EFBIG);
  return GrowContent(
      ino,
      [&](const FileContent& content, const Layer& head) {
        return content.NewBytes(head, content.RangeOfWrite(head, range));
      },
      [&](FileContent& content, Layer& head) { return content.Write(head, offset_bytes, data); });
}

Status Branch::Allocate(InodeNumber ino, ByteRange range, bool keep_size) {
  if (!range.IsWithin(kMaxFileBytes)) return Errno(EFBIG);
  return GrowContent(
      ino,
      [&](const FileContent& content, const Layer& head) { return content.NewBytes(head, range); },
      [&](FileContent& content, Layer& head) { return content.Allocate(head, range, keep_size); });
}

Status Branch::Extend(InodeNumber ino, uint64_t size_bytes) {
  if (size_bytes > kMaxFileBytes) return Errno(EFBIG);
  return ChangeContent(ino, [&](FileContent& content, Layer& head) {
    return content.size_bytes() >= size_bytes ? Status() : content.Truncate(head, size_bytes);
  });
}

Status Branch::Zero(InodeNumber ino, ByteRange range, bool keep_size) {
  if (!range.IsWithin(kMaxFileBytes)) return Errno(EFBIG);
  const auto zero = [&](FileContent& content, Layer& head) {
    return content.Zero(head, range, keep_size);
  };
  const auto new_bytes = [&](const FileContent& content, const Layer& head) {
    return content.NewBytesOfZeros(head, range, keep_size);
  };
  return host_.parts().reserve.Run([&] { return GrowContent(ino, new_bytes, zero); });
}

Result<uint64_t> Branch::Seek(InodeNumber ino, uint64_t offset_bytes, bool for_data) {
  while (true) {
    VELAFS_ASSIGN(const InodePtr inode, FindFile(ino));
    ReaderLock content(inode->content_lock);
    if (!inode->is_forgotten) return inode->content->Seek(offset_bytes, for_data);
  }
}

}  // namespace velafs::layer
