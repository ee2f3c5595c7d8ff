#include "velafs/layer/page_map.h"

#include <algorithm>
#include <bit>
#include <boost/crc.hpp>
#include <cerrno>
#include <cstring>
#include <string>

#include "velafs/base/check.h"

namespace velafs::layer {
namespace {

// Integers are little-endian, as on every machine this is built for.
static_assert(std::endian::native == std::endian::little);

constexpr char kMagic[8] = {'v', 'e', 'l', 'a', 'm', 'a', 'p', '\n'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPagesPerBlock = 63 * 64;
constexpr size_t kPieceBytes = 1024 * 1024;  // of a file, read at a time

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t layer;
  uint64_t ino;
  uint64_t inherited_bytes;
  std::byte padding[PageMap::kBlockBytes - 44];
  uint32_t crc;
};
static_assert(sizeof(Header) == PageMap::kBlockBytes);

struct Bits {
  std::array<uint64_t, kPagesPerBlock / 64> words;
  uint32_t block;
  uint32_t crc;
};
static_assert(sizeof(Bits) == PageMap::kBlockBytes);
static_assert(kMaxFileBytes / (kPagesPerBlock * kPageBytes) < UINT32_MAX);  // Bits::block

uint32_t Crc(const PageMap::Block& block) {
  boost::crc_32_type crc;
  crc.process_bytes(block.data(), block.size() - sizeof(uint32_t));
  return crc.checksum();
}

void StoreCrc(PageMap::Block& block) {
  const uint32_t crc = Crc(block);
  std::memcpy(block.data() + block.size() - sizeof crc, &crc, sizeof crc);
}

bool CrcMatches(const PageMap::Block& block) {
  uint32_t stored;
  std::memcpy(&stored, block.data() + block.size() - sizeof stored, sizeof stored);
  return stored == Crc(block);
}

// Block `index` of the file; zeros where the file has ended.
PageMap::Block BlockAt(std::span<const std::byte> content, size_t index) {
  PageMap::Block block{};
  const size_t offset = index * block.size();
  std::memcpy(block.data(), content.data() + offset,
              std::min(block.size(), content.size() - offset));
  return block;
}

}  // namespace

PageMap::PageMap(LayerId layer, InodeNumber ino, uint64_t inherited_bytes)
    : layer_(layer), ino_(ino), inherited_bytes_(inherited_bytes) {}

Result<PageMap> PageMap::DecodeHeader(LayerId layer, InodeNumber ino,
                                      std::span<const std::byte> content) {
  if (content.size() < kBlockBytes) return Corrupt("the page map is shorter than its header");
  const Block first = BlockAt(content, 0);
  const auto header = std::bit_cast<Header>(first);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || !CrcMatches(first)) {
    return Corrupt("the page map's header is damaged");
  }
  if (header.version != kVersion) {
    return Corrupt("the page map has format version " + std::to_string(header.version) +
                   ", and this program knows only " + std::to_string(kVersion));
  }
  if (header.layer != layer.value || header.ino != ino.value) {
    return Corrupt("the page map belongs to another file");
  }
  PageMap map(layer, ino, header.inherited_bytes);
  map.header_dirty_ = false;
  return map;
}

Status PageMap::DecodeBits(uint64_t first, std::span<const std::byte> content) {
  for (uint64_t i = 0; i * kBlockBytes < content.size(); ++i) {
    const Block block = BlockAt(content, i);
    if (block == Block{}) continue;  // never written
    const auto bits = std::bit_cast<Bits>(block);
    if (!CrcMatches(block) || bits.block != first + i) {
      return Corrupt("block " + std::to_string(1 + first + i) + " of the page map is damaged");
    }
    BlockFor(first + i) = bits.words;
  }
  return {};
}

Result<PageMap> PageMap::Decode(LayerId layer, InodeNumber ino,
                                std::span<const std::byte> content) {
  VELAFS_ASSIGN(PageMap map, DecodeHeader(layer, ino, content));
  VELAFS_TRY(map.DecodeBits(0, content.subspan(kBlockBytes)));
  return map;
}

Result<PageMap> PageMap::Load(LayerId layer, InodeNumber ino, os::File& file) {
  std::vector<std::byte> buffer(kBlockBytes);
  VELAFS_ASSIGN(const size_t header_bytes, file.Read(0, buffer));
  VELAFS_ASSIGN(PageMap map, DecodeHeader(layer, ino, std::span(buffer).first(header_bytes)));
  buffer.resize(kPieceBytes);
  for (uint64_t at = kBlockBytes;;) {
    const Result<uint64_t> data = file.SeekData(at);
    if (data.status().error_number() == ENXIO) return map;  // a hole up to its end
    VELAFS_TRY(data.status());
    VELAFS_ASSIGN(const uint64_t hole, file.SeekHole(*data));
    for (at = std::max(at, *data / kBlockBytes * kBlockBytes); at < hole; at += kPieceBytes) {
      VELAFS_ASSIGN(const size_t got, file.Read(at, buffer));
      VELAFS_TRY(map.DecodeBits(at / kBlockBytes - 1, std::span(buffer).first(got)));
    }
  }
}

uint64_t PageMap::MaxFileBytes(uint64_t inherited_bytes) {
  const uint64_t pages = PagesUpTo(inherited_bytes);
  return (1 + (pages + kPagesPerBlock - 1) / kPagesPerBlock) * kBlockBytes;
}

void PageMap::HideFrom(uint64_t size_bytes) {
  if (size_bytes >= inherited_bytes_) return;
  inherited_bytes_ = size_bytes;
  header_dirty_ = true;
}

uint64_t PageMap::WordAt(uint64_t word) const {
  const uint64_t block = word / kWordsPerBlock;
  if (block >= blocks_.size() || blocks_[block] == nullptr) return 0;
  return (*blocks_[block])[word % kWordsPerBlock];
}

PageMap::Words& PageMap::BlockFor(uint64_t block) {
  if (block >= blocks_.size()) blocks_.resize(block + 1);
  if (blocks_[block] == nullptr) blocks_[block] = std::make_unique<Words>();
  return *blocks_[block];
}

bool PageMap::BitOf(PageNumber page) const {
  return ((WordAt(page.value / 64) >> (page.value % 64)) & 1) != 0;
}

PageMap::Run PageMap::RunAt(PageNumber page, uint64_t limit) const {
  const PageNumber inherited_end = InheritedEnd();
  if (page >= inherited_end) return {true, limit};
  const bool held = BitOf(page);
  PageNumber next = page + 1;
  while (next < inherited_end && next - page < limit) {
    const uint64_t block = next.value / kPagesPerBlock;
    if (!held && block >= blocks_.size()) {
      next = inherited_end;
      break;
    }
    if (!held && blocks_[block] == nullptr) {
      next = next.NextGroup(kPagesPerBlock);
      continue;
    }
    // The bits from `next` on that differ from `held`, moved down to bit 0.
    const uint64_t word = WordAt(next.value / 64);
    const uint64_t differing = (held ? ~word : word) >> (next.value % 64);
    if (differing != 0) {
      next += static_cast<uint64_t>(std::countr_zero(differing));
      break;
    }
    next = next.NextGroup(64);
  }
  if (held && next >= inherited_end) return {true, limit};  // what follows is the layer's own too
  return {held, std::min(std::min(next, inherited_end) - page, limit)};
}

void PageMap::ClaimPages(PageNumber first, uint64_t count) {
  const PageNumber end = std::min(first + count, InheritedEnd());
  if (first >= end) return;
  for (PageNumber page = first; page < end;) {
    const PageNumber next = std::min(end, page.NextGroup(kPagesPerBlock));
    if (ClaimInBlock(page, next)) dirty_blocks_.insert(page.value / kPagesPerBlock);
    page = next;
  }
}

bool PageMap::ClaimInBlock(PageNumber page, PageNumber end) {
  Words& words = BlockFor(page.value / kPagesPerBlock);
  bool has_changed = false;
  while (page < end) {
    const PageNumber next = std::min(end, page.NextGroup(64));
    const uint64_t bits = (~uint64_t{0} >> (64 - (next - page))) << (page.value % 64);
    uint64_t& word = words[page.value % kPagesPerBlock / 64];
    has_changed |= (word & bits) != bits;
    word |= bits;
    page = next;
  }
  return has_changed;
}

std::vector<PageMap::DirtyBlock> PageMap::TakeDirty() {
  std::vector<DirtyBlock> blocks;
  if (std::exchange(header_dirty_, false)) blocks.push_back({0, EncodeHeader()});
  for (uint64_t block : dirty_blocks_) {
    blocks.push_back({(1 + block) * kBlockBytes, EncodeBits(block)});
  }
  dirty_blocks_.clear();
  return blocks;
}

void PageMap::PutBack(const std::vector<DirtyBlock>& blocks) {
  for (const DirtyBlock& block : blocks) {
    if (block.offset_bytes == 0) {
      header_dirty_ = true;
    } else {
      dirty_blocks_.insert(block.offset_bytes / kBlockBytes - 1);
    }
  }
}

PageMap::Block PageMap::EncodeHeader() const {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.layer = layer_.value;
  header.ino = ino_.value;
  header.inherited_bytes = inherited_bytes_;
  auto block = std::bit_cast<Block>(header);
  StoreCrc(block);
  return block;
}

PageMap::Block PageMap::EncodeBits(uint64_t index) const {
  Bits bits{};
  if (index < blocks_.size() && blocks_[index] != nullptr) bits.words = *blocks_[index];
  bits.block = static_cast<uint32_t>(index);
  auto block = std::bit_cast<Block>(bits);
  StoreCrc(block);
  return block;
}

}  // namespace velafs::layer
