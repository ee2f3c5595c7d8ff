#include "velafs/layer/file_content.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace velafs::layer {
namespace {

// How many pages behind `last` a write from `first` on takes along: of a file that is written in
// order, as a log is, as many as were written just before. One sync of the map, and one allocation
// of the host, then serve many commits.
uint64_t PagesAhead(const PageFile& own, PageNumber first, PageNumber last) {
  constexpr uint64_t kMost = 32;
  constexpr uint64_t kFewest = 4;  // fewer come about when pages are written at random
  for (uint64_t pages = kMost; pages >= kFewest; pages /= 2) {
    if (first.value < pages) continue;
    const auto before = own.RunAt(first - pages, pages);
    if (!before.held || before.pages < pages) continue;
    const auto behind = own.RunAt(last + 1, pages);
    return behind.held ? 0 : behind.pages;
  }
  return 0;
}

// What the layer has of the file, if anything.
Status AddContentOf(const ChainLink& link, InodeNumber ino, bool is_born_here,
                    std::vector<LayerContent>* contents) {
  Layer& layer = *link.layer;
  const Result<std::optional<LayerContent>> found = layer.ContentOf(ino, !is_born_here);
  VELAFS_TRY(found.status());
  if (*found) {
    contents->push_back(**found);
  } else if (is_born_here && link.is_sealed) {
    contents->emplace_back(layer.id(), layer.Imported(ino), nullptr);
  } else if (is_born_here && layer.is_settled()) {
    return Corrupt("\"" + layer.PagePath(ino) + "\" is missing");
  }
  return {};
}

}  // namespace

FileContent FileContent::Empty(InodeNumber ino, LayerId born_layer) {
  FileContent content;
  content.ino_ = ino;
  content.born_layer_ = born_layer;
  return content;
}

Result<FileContent> FileContent::Load(const Chain& chain, const catalog::InodeInChain& inode) {
  FileContent content;
  content.ino_ = inode.row.ino;
  content.born_layer_ = inode.born_layer;
  for (const ChainLink& link : chain.links()) {
    const bool is_born_here = link.layer->id() == inode.born_layer;
    VELAFS_TRY(AddContentOf(link, content.ino_, is_born_here, &content.layers_));
    const bool has_all = !content.layers_.empty() && content.layers_.back().inherited_bytes() == 0;
    if (is_born_here || has_all) break;
  }
  const bool is_nearer =
      !content.layers_.empty() && content.layers_[0].layer_id() > inode.row_layer;
  if (is_nearer && content.layers_[0].sealed()) {
    return Corrupt("inode " + std::to_string(content.ino_.value) +
                   " has sealed content without a row");
  }
  content.size_bytes_ = inode.row.size_bytes;
  if (PageFile* nearest = content.TimesFrom(inode.row_layer)) {
    VELAFS_ASSIGN(const os::FileInfo info, nearest->Stat());
    content.size_bytes_ = info.size_bytes;
  }
  content.size_before_own_ = content.size_bytes_;
  const PageFile* const own = content.OwnFile(*chain.head());
  if (own != nullptr && own->NeedsSync() && chain.links().size() > 1) {
    VELAFS_ASSIGN(content.size_before_own_, SizeWithoutOwn(chain, inode));
  }
  content.LayersChanged();
  return content;
}

// The head's row has it. Without such a row, the file is as large as the layers below show it.
Result<uint64_t> FileContent::SizeWithoutOwn(const Chain& chain,
                                             const catalog::InodeInChain& inode) {
  if (inode.row_layer == chain.head_id()) return inode.row.size_bytes;
  const Chain below({chain.links().begin() + 1, chain.links().end()}, chain.generation());
  VELAFS_ASSIGN(const FileContent content, Load(below, inode));
  return content.size_bytes_;
}

PageFile* FileContent::TimesFrom(LayerId row_layer) const {
  // A layer's id is larger than those of the layers below it.
  if (layers_.empty() || layers_[0].layer_id() < row_layer) return nullptr;
  return layers_[0].page_file().get();
}

Status FileContent::Read(uint64_t offset_bytes, std::span<std::byte> into) const {
  // Of many pages in turn, most often those of the nearest layer lie here and there among others:
  // one after the other, each would wait for the disk.
  if (into.size() > kChunkBytes && !layers_.empty() && layers_[0].page_file()) {
    layers_[0].page_file()->WillNeed({offset_bytes, into.size()});
  }
  return ReadFrom(0, size_bytes_, offset_bytes, into);
}

Status FileContent::ReadFrom(size_t source, uint64_t limit_bytes, uint64_t offset_bytes,
                             std::span<std::byte> into) const {
  const uint64_t visible =
      limit_bytes > offset_bytes ? std::min<uint64_t>(limit_bytes - offset_bytes, into.size()) : 0;
  std::memset(into.data() + visible, 0, into.size() - visible);
  into = into.first(visible);
  if (into.empty()) return {};

  if (source == layers_.size()) {
    std::memset(into.data(), 0, into.size());
    return {};
  }
  const LayerContent& layer = layers_[source];
  while (!into.empty()) {
    const PageNumber page = PageNumber::At(offset_bytes);
    VELAFS_ASSIGN(const auto run,
                  layer.RunAt(page, PageNumber::From(offset_bytes + into.size()) - page));
    const uint64_t run_end = (page + run.pages).OffsetBytes();
    const auto piece = into.first(std::min<uint64_t>(run_end - offset_bytes, into.size()));
    if (run.held) {
      VELAFS_TRY(layer.Read(offset_bytes, piece));
    } else if (source == 0 && index_) {
      VELAFS_TRY(ReadBelow(offset_bytes, piece));
    } else {
      VELAFS_TRY(ReadFrom(source + 1, layer.inherited_bytes(), offset_bytes, piece));
    }
    offset_bytes += piece.size();
    into = into.subspan(piece.size());
  }
  return {};
}

Status FileContent::ReadBelow(uint64_t offset_bytes, std::span<std::byte> into) const {
  const uint64_t limit_bytes = layers_[0].inherited_bytes();
  const uint64_t visible =
      limit_bytes > offset_bytes ? std::min<uint64_t>(limit_bytes - offset_bytes, into.size()) : 0;
  std::memset(into.data() + visible, 0, into.size() - visible);
  into = into.first(visible);
  while (!into.empty()) {
    const PageNumber page = PageNumber::At(offset_bytes);
    VELAFS_ASSIGN(const auto run,
                  index_->At(layers_, page, PageNumber::From(offset_bytes + into.size()) - page));
    const uint64_t run_end = (page + run.pages).OffsetBytes();
    const auto piece = into.first(std::min<uint64_t>(run_end - offset_bytes, into.size()));
    if (run.source == FlatIndex::kZeros) {
      std::memset(piece.data(), 0, piece.size());
    } else if (run.source == FlatIndex::kMixed) {
      VELAFS_TRY(ReadFrom(1, limit_bytes, offset_bytes, piece));
    } else {
      VELAFS_TRY(layers_[run.source].Read(offset_bytes, piece));
    }
    offset_bytes += piece.size();
    into = into.subspan(piece.size());
  }
  return {};
}

void FileContent::LayersChanged() {
  constexpr size_t kFew = 4;
  const bool is_worth_it = layers_.size() > kFew && layers_.size() < FlatIndex::kMostLayers;
  index_ = is_worth_it ? std::make_shared<FlatIndex>() : nullptr;
}

Result<FileContent::OriginRun> FileContent::OriginOf(PageNumber page, uint64_t limit) const {
  using Kind = Origin::Kind;
  for (const LayerContent& layer : layers_) {
    VELAFS_ASSIGN(const auto run, layer.RunAt(page, limit));
    limit = run.pages;
    const Kind kind = layer.is_whole_manifest() ? Kind::kChunks : Kind::kPages;
    if (run.held) return OriginRun{{kind, layer.layer_id()}, limit};
    const uint64_t inherited = layer.inherited_bytes();
    if (page.OffsetBytes() >= inherited) return OriginRun{{}, limit};  // truncated a moment ago
    const uint64_t whole = PageNumber::At(inherited) - page;
    if (whole == 0) return OriginRun{{Kind::kMixed, {}}, 1};
    limit = std::min(limit, whole);
  }
  return OriginRun{{}, limit};
}

Result<uint64_t> FileContent::Seek(uint64_t offset_bytes, bool for_data) const {
  if (offset_bytes >= size_bytes_) return Errno(ENXIO);
  while (offset_bytes < size_bytes_) {
    VELAFS_ASSIGN(const PageFile::Extent extent,
                  ExtentFrom(0, ByteRange::Between(offset_bytes, size_bytes_)));
    if (extent.is_data == for_data) return offset_bytes;
    offset_bytes += extent.length_bytes;
  }
  if (for_data) return Errno(ENXIO);
  return size_bytes_;  // the hole that every file ends with
}

Result<PageFile::Extent> FileContent::ExtentFrom(size_t source, ByteRange range) const {
  if (source == layers_.size()) return PageFile::Extent{false, range.length_bytes};
  const LayerContent& layer = layers_[source];
  const PageNumber page = PageNumber::At(range.offset_bytes);
  VELAFS_ASSIGN(const auto run, layer.RunAt(page, PageNumber::From(range.End()) - page));
  range = range.Before((page + run.pages).OffsetBytes());
  if (run.held) return layer.ExtentAt(range);
  const uint64_t inherited = layer.inherited_bytes();
  if (range.offset_bytes >= inherited) return PageFile::Extent{false, range.length_bytes};
  return ExtentFrom(source + 1, range.Before(inherited));
}

uint64_t FileContent::SizeForRow(const Layer& head) const {
  const bool inherits = OwnFile(head) != nullptr && born_layer_ != head.id();
  return inherits ? size_before_own_ : size_bytes_;
}

PageFile* FileContent::OwnFile(const Layer& head) const {
  const bool has_own = !layers_.empty() && layers_[0].layer_id() == head.id();
  return has_own ? layers_[0].page_file().get() : nullptr;
}

Result<PageFile*> FileContent::MakeOwnFile(Layer& head) {
  if (OwnFile(head) == nullptr) {
    const auto inherited = born_layer_ == head.id() ? std::nullopt : std::optional(size_bytes_);
    VELAFS_ASSIGN(auto file, head.Create(ino_, size_bytes_, inherited));
    layers_.emplace(layers_.begin(), head.id(), nullptr, std::move(file));
    LayersChanged();
    size_before_own_ = size_bytes_;
  }
  return layers_[0].page_file().get();
}

Status FileContent::MakePageFile(Layer& head) {
  VELAFS_ASSIGN([[maybe_unused]] PageFile * own, MakeOwnFile(head));
  return {};
}

Status FileContent::Write(Layer& head, uint64_t offset_bytes, std::span<const std::byte> data) {
  if (data.empty()) return {};
  VELAFS_ASSIGN(PageFile * own, MakeOwnFile(head));
  const ByteRange range = {offset_bytes, data.size()};
  const uint64_t end = range.End();
  const PageNumber first = PageNumber::At(offset_bytes);
  const PageNumber last = PageNumber::At(end - 1);

  // A page that is only partly written, and not held yet, brings the rest of it along.
  uint64_t begin_whole = offset_bytes;
  uint64_t end_whole = end;
  uint64_t end_ahead = end;
  if (!own->RunAt(first, 1).held) begin_whole = first.OffsetBytes();
  if (!own->RunAt(last, 1).held) {
    end_whole = std::max(end, std::min((last + 1).OffsetBytes(), size_bytes_));
    end_ahead = RangeOfWrite(head, range).End();
  }
  Status status = WriteWith(*own, offset_bytes, data, ByteRange::Between(begin_whole, end_ahead));
  if (end_ahead > end_whole && os::IsOutOfSpace(status)) {
    end_ahead = end_whole;
    status = WriteWith(*own, offset_bytes, data, ByteRange::Between(begin_whole, end_whole));
  }
  if (!status.ok()) {
    TakeBackGrowth(*own, end);
    return status;
  }
  own->ClaimPages(first, PageNumber::From(end_ahead) - first);
  size_bytes_ = std::max(size_bytes_, end);
  return {};
}

ByteRange FileContent::RangeOfWrite(const Layer& head, ByteRange range) const {
  const PageFile* const own = OwnFile(head);
  const PageNumber last = PageNumber::At(range.End() - 1);
  if (own == nullptr || own->RunAt(last, 1).held) return range;
  const uint64_t ahead = PagesAhead(*own, PageNumber::At(range.offset_bytes), last);
  const uint64_t end_ahead = std::min((last + 1 + ahead).OffsetBytes(), size_bytes_);
  return ByteRange::Between(range.offset_bytes, std::max(range.End(), end_ahead));
}

Status FileContent::WriteWith(PageFile& own, uint64_t offset_bytes, std::span<const std::byte> data,
                              ByteRange whole) const {
  const ByteRange range = {offset_bytes, data.size()};
  if (whole == range) return own.Write(offset_bytes, data);
  std::vector<std::byte> content(whole.length_bytes);
  const std::span<std::byte> view(content);
  const uint64_t before = offset_bytes - whole.offset_bytes;
  VELAFS_TRY(Read(whole.offset_bytes, view.first(before)));
  std::memcpy(content.data() + before, data.data(), data.size());
  VELAFS_TRY(Read(range.End(), view.subspan(before + data.size())));
  return own.Write(whole.offset_bytes, content);
}

Status FileContent::Truncate(Layer& head, uint64_t size_bytes) {
  VELAFS_ASSIGN(PageFile * own, MakeOwnFile(head));
  VELAFS_TRY(own->Truncate(size_bytes));
  size_bytes_ = size_bytes;
  return {};
}

Status FileContent::Allocate(Layer& head, ByteRange range, bool keep_size) {
  VELAFS_ASSIGN(PageFile * own, MakeOwnFile(head));
  Status allocated = own->Allocate(range, keep_size);
  if (!allocated.ok()) {
    TakeBackGrowth(*own, range.End());
    return allocated;
  }
  if (!keep_size) size_bytes_ = std::max(size_bytes_, range.End());
  return {};
}

// The page file's size is the file's: a change that failed may have added a part to it.
void FileContent::TakeBackGrowth(PageFile& own, uint64_t end_bytes) const {
  if (end_bytes > size_bytes_) static_cast<void>(own.Truncate(size_bytes_));
}

Status FileContent::Zero(Layer& head, ByteRange range, bool keep_size) {
  if (!keep_size && range.End() > size_bytes_) VELAFS_TRY(Truncate(head, range.End()));
  range = range.Before(size_bytes_);
  if (range.length_bytes == 0) return {};
  const uint64_t end = range.End();

  VELAFS_ASSIGN(PageFile * own, MakeOwnFile(head));
  const PageNumber first_whole = PageNumber::From(range.offset_bytes);
  const PageNumber end_whole = end == size_bytes_ ? PageNumber::From(end) : PageNumber::At(end);
  const std::vector<std::byte> zeros(kPageBytes);
  const auto write_zeros = [&](uint64_t from, uint64_t to) -> Status {
    while (from < to) {
      const uint64_t length = std::min(to - from, kPageBytes);
      VELAFS_TRY(Write(head, from, std::span(zeros).first(length)));
      from += length;
    }
    return {};
  };
  if (first_whole >= end_whole) return write_zeros(range.offset_bytes, end);
  VELAFS_TRY(write_zeros(range.offset_bytes, first_whole.OffsetBytes()));
  VELAFS_TRY(own->PunchPages(first_whole, end_whole - first_whole));
  return write_zeros(end_whole.OffsetBytes(), end);
}

Result<uint64_t> FileContent::NewBytes(const Layer& head, ByteRange range) const {
  const PageNumber first = PageNumber::At(range.offset_bytes);
  const PageNumber end = PageNumber::From(range.End());
  PageFile* const own = OwnFile(head);
  if (own == nullptr) return (end - first) * kPageBytes;
  uint64_t bytes = 0;
  for (PageNumber page = first; page < end;) {
    const auto run = own->RunAt(page, end - page);
    const uint64_t run_end = (page + run.pages).OffsetBytes();
    if (!run.held) bytes += run.pages * kPageBytes;
    // A held page may be a hole.
    for (uint64_t at = page.OffsetBytes(); run.held && at < run_end;) {
      VELAFS_ASSIGN(const PageFile::Extent extent, own->ExtentAt(ByteRange::Between(at, run_end)));
      if (!extent.is_data) bytes += extent.length_bytes;
      at += extent.length_bytes;
    }
    page += run.pages;
  }
  return bytes;
}

Result<uint64_t> FileContent::NewBytesOfZeros(const Layer& head, ByteRange range,
                                              bool keep_size) const {
  if (keep_size) range = range.Before(size_bytes_);
  if (range.length_bytes == 0) return uint64_t{0};
  const uint64_t begin = range.offset_bytes;
  const uint64_t end = range.End();
  const bool cuts_first = begin % kPageBytes != 0;
  const bool cuts_last = end % kPageBytes != 0 && end < size_bytes_;
  const bool is_one_page = PageNumber::At(begin) == PageNumber::At(end);
  const auto new_bytes = [&](uint64_t from, uint64_t to) {
    return NewBytes(head, RangeOfWrite(head, ByteRange::Between(from, to)));
  };
  uint64_t bytes = 0;
  if (cuts_first) {
    const uint64_t page_end = (PageNumber::At(begin) + 1).OffsetBytes();
    VELAFS_ASSIGN(bytes, new_bytes(begin, std::min(page_end, end)));
  }
  if (cuts_last && !(cuts_first && is_one_page)) {
    VELAFS_ASSIGN(const uint64_t last, new_bytes(PageNumber::At(end).OffsetBytes(), end));
    bytes += last;
  }
  return bytes;
}

std::vector<std::shared_ptr<PageFile>> FileContent::FilesFrom(LayerId layer) const {
  std::vector<std::shared_ptr<PageFile>> files;
  for (const LayerContent& content : layers_) {
    if (content.layer_id() >= layer && content.page_file()) files.push_back(content.page_file());
  }
  return files;
}

std::vector<std::shared_ptr<PageFile>> FileContent::DirtyFiles() const {
  std::vector<std::shared_ptr<PageFile>> files;
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    if (layer->page_file() && layer->page_file()->NeedsSync()) files.push_back(layer->page_file());
  }
  return files;
}

}  // namespace velafs::layer
