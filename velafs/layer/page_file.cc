#include "velafs/layer/page_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "velafs/layer/layer.h"

namespace velafs::layer {

PageFile::PageFile(Layer& layer, InodeNumber ino, std::unique_ptr<os::File> file,
                   std::optional<PageMap> map, std::unique_ptr<os::File> map_file, bool is_new)
    : layer_(layer),
      ino_(ino),
      file_(std::move(file)),
      has_map_(map.has_value()),
      map_(std::move(map)),
      map_file_(std::move(map_file)),
      names_durable_(!is_new) {}

LayerId PageFile::layer_id() const { return layer_.id(); }

PageMap::Run PageFile::RunAt(PageNumber page, uint64_t limit) const {
  if (!has_map_) return {true, limit};
  MutexLock lock(map_lock_);
  return map_->RunAt(page, limit);
}

uint64_t PageFile::inherited_bytes() const {
  if (!has_map_) return 0;
  MutexLock lock(map_lock_);
  return map_->inherited_bytes();
}

Status PageFile::Read(uint64_t offset_bytes, std::span<std::byte> into) {
  VELAFS_ASSIGN(const size_t got, file_->Read(offset_bytes, into));
  std::memset(into.data() + got, 0, into.size() - got);
  return {};
}

void PageFile::WillNeed(ByteRange range) {
  if (!has_map_) return;  // it is read as one
  const PageNumber end = PageNumber::From(range.End());
  for (PageNumber page = PageNumber::At(range.offset_bytes); page < end;) {
    const PageMap::Run run = RunAt(page, end - page);
    if (run.held) file_->WillNeed({page.OffsetBytes(), run.pages * kPageBytes});
    page += run.pages;
  }
}

Status PageFile::Write(uint64_t offset_bytes, std::span<const std::byte> data) {
  Status written = file_->Write(offset_bytes, data);
  MarkDirty();
  return written;
}

void PageFile::ClaimPages(PageNumber first, uint64_t count) {
  if (!has_map_) return;
  {
    MutexLock lock(map_lock_);
    map_->ClaimPages(first, count);
  }
  MarkDirty();
}

Status PageFile::Truncate(uint64_t size_bytes) {
  Status truncated = file_->Truncate(size_bytes);
  if (truncated.ok() && has_map_) {
    MutexLock lock(map_lock_);
    map_->HideFrom(size_bytes);
  }
  MarkDirty();
  return truncated;
}

Status PageFile::Allocate(ByteRange range, bool keep_size) {
  Status allocated = file_->Allocate(range, keep_size);
  MarkDirty();
  return allocated;
}

Status PageFile::PunchPages(PageNumber first, uint64_t count) {
  Status punched = file_->PunchHole({first.OffsetBytes(), count * kPageBytes});
  if (punched.ok()) ClaimPages(first, count);
  MarkDirty();
  return punched;
}

Result<PageFile::Extent> PageFile::ExtentAt(ByteRange range) {
  const auto up_to = [range](uint64_t end_bytes) { return range.Before(end_bytes).length_bytes; };
  const Result<uint64_t> data = file_->SeekData(range.offset_bytes);
  if (!data.ok()) {
    if (data.status().error_number() != ENXIO) return data.status();
    return Extent{false, range.length_bytes};  // nothing but a hole up to the end
  }
  if (*data > range.offset_bytes) return Extent{false, up_to(*data)};
  const Result<uint64_t> hole = file_->SeekHole(range.offset_bytes);
  if (!hole.ok()) {
    if (hole.status().error_number() != ENXIO) return hole.status();
    return Extent{false, range.length_bytes};  // truncated a moment ago
  }
  return Extent{true, up_to(*hole)};
}

Status PageFile::SetTimes(TimeNs atime, TimeNs mtime) {
  Status set = file_->SetTimes(atime, mtime);
  MarkDirty();
  return set;
}

void PageFile::MarkDirty() {
  ++changes_;
  if (!is_listed_.exchange(true)) layer_.AddDirty(*this);
}

bool PageFile::MayLeaveDirtyList() {
  // In this order: a change from here on either is seen below, or lists the file anew.
  is_listed_ = false;
  if (!NeedsSync()) return true;
  is_listed_ = true;
  return false;
}

Status PageFile::Sync(os::SyncKind kind) {
  MutexLock sync(sync_lock_);
  VELAFS_TRY(failure_);
  const uint64_t changes = changes_;  // later ones may be made durable, too, and are not counted
  if (changes == durable_changes_ || is_abandoned_) return {};
  VELAFS_TRY(SyncChanges(kind));
  durable_changes_ = changes;
  layer_.RemoveDirty(*this);
  return {};
}

void PageFile::Abandon() {
  MutexLock sync(sync_lock_);
  is_abandoned_ = true;
}

Status PageFile::SyncChanges(os::SyncKind kind) {
  // What the map says now is of pages written before now, and those the next line makes durable: a
  // bit never reaches the disk before its page.
  std::vector<PageMap::DirtyBlock> blocks;
  if (has_map_) {
    MutexLock lock(map_lock_);
    blocks = map_->TakeDirty();
  }
  VELAFS_TRY(RecordFailure(file_->Sync(kind)));
  if (!blocks.empty()) {
    if (Status written = WriteMap(blocks); os::IsOutOfSpace(written)) {
      // The pages are durable, and the map in memory is whole: all can be done again.
      MutexLock lock(map_lock_);
      map_->PutBack(blocks);
      return written;
    } else {
      VELAFS_TRY(RecordFailure(std::move(written)));
    }
    VELAFS_TRY(RecordFailure(map_file_->Sync(os::SyncKind::kData)));
  }
  if (!names_durable_) VELAFS_TRY(RecordFailure(layer_.SyncNames()));
  names_durable_ = true;
  return {};
}

Status PageFile::RecordFailure(Status status) {
  if (status.ok()) return status;
  failure_ = status;
  layer_.SetFailed();
  return status;
}

Status PageFile::WriteMap(const std::vector<PageMap::DirtyBlock>& blocks) {
  if (!map_file_) {
    const std::string path = layer_.MapPath(ino_);
    VELAFS_ASSIGN(map_file_, layer_.storage().Open(path, os::OpenMode::kReadWrite));
  }
  for (const PageMap::DirtyBlock& block : blocks) {
    VELAFS_TRY(map_file_->Write(block.offset_bytes, block.content));
  }
  return {};
}

}  // namespace velafs::layer
