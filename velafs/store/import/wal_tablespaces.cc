#include "velafs/store/import/wal_tablespaces.h"

#include <algorithm>
#include <boost/crc.hpp>
#include <optional>
#include <span>

#include "velafs/store/import/wal_segment.h"

namespace velafs::store {
namespace {

constexpr uint64_t kAlignment = 8;
// Where in a record its fields are: XLogRecord.
constexpr size_t kRecordHeaderBytes = 24;
constexpr size_t kRecordInfoAt = 16;
constexpr size_t kResourceManagerAt = 17;
constexpr size_t kCrcAt = 20;
constexpr uint8_t kTablespaceManager = 5;  // RM_TBLSPC_ID
constexpr uint8_t kOperationBits = 0xf0;
constexpr uint8_t kCreate = 0;  // XLOG_TBLSPC_CREATE
// What may stand between the header and the data, and its length in bytes.
constexpr uint8_t kShortData = 255;
constexpr uint8_t kLongData = 254;
constexpr uint8_t kOrigin = 253;
constexpr uint8_t kTopTransaction = 252;
constexpr size_t kOidBytes = 4;
// A location is shorter than a path may be.
constexpr size_t kMaxCreateBytes = 8192;

using Crc32C = boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true>;

// A record in one piece, and where each of its bytes lies.
struct Record {
  struct Place {
    const std::string* segment;
    uint64_t offset;
  };
  std::vector<std::byte> bytes;
  std::vector<Place> places;
};

uint32_t ChecksumOf(std::span<const std::byte> record) {
  Crc32C crc;
  crc.process_bytes(record.data() + kRecordHeaderBytes, record.size() - kRecordHeaderBytes);
  crc.process_bytes(record.data(), kCrcAt);
  return crc.checksum();
}

// Where the location begins in a record of CREATE TABLESPACE that has one.
std::optional<size_t> LocationAt(std::span<const std::byte> record) {
  size_t at = kRecordHeaderBytes;
  while (at + 5 < record.size()) {
    const auto id = static_cast<uint8_t>(record[at]);
    if (id == kOrigin) {
      at += 3;
    } else if (id == kTopTransaction) {
      at += 5;
    } else if (id == kShortData || id == kLongData) {
      at += (id == kShortData ? 2 : 5) + kOidBytes;
      if (at < record.size() && record[at] != std::byte{0}) return at;
      return {};
    } else {
      return {};
    }
  }
  return {};
}

class Walker {
 public:
  Walker(const std::set<std::string>& names,
         const std::function<Result<WalFile>(const std::string&)>& open)
      : names_(names), open_(open) {}

  Result<PatchesByName> Run() {
    for (const std::string& name : names_) {
      if (IsWalSegmentName(name)) VELAFS_TRY(Walk(name));
    }
    for (auto& [name, patches] : patches_) {
      std::ranges::sort(patches, {}, &BytePatch::offset_bytes);
    }
    return std::move(patches_);
  }

 private:
  Result<std::optional<WalSegment>> Open(const std::string& name) {
    VELAFS_ASSIGN(WalFile file, open_(name));
    return WalSegment::Open(name, std::move(file));
  }

  Status Walk(const std::string& name) {
    VELAFS_ASSIGN(std::optional<WalSegment> segment, Open(name));
    if (!segment) return {};
    checked_page_ = UINT64_MAX;
    VELAFS_ASSIGN(std::optional<uint64_t> next, FirstRecord(*segment));
    while (next && *next < segment->size_bytes()) {
      VELAFS_ASSIGN(next, LookAt(*segment, *next));
    }
    return {};
  }

  static Result<std::optional<uint64_t>> FirstRecord(WalSegment& segment) {
    VELAFS_ASSIGN(const auto header, segment.HeaderAt(0));
    if (!header) return std::optional<uint64_t>();
    if (!header->continues_record) return std::optional<uint64_t>(header->size_bytes);
    return After(segment, header->size_bytes, header->rest_bytes);
  }

  // Where the record after `length` more bytes of one begins; past the end when in a later segment.
  // A record that a crash has torn ends with the last page that goes on with it, whatever its
  // length says: a server that recovers writes its own records behind that.
  static Result<std::optional<uint64_t>> After(WalSegment& segment, uint64_t at, uint64_t length) {
    uint64_t here = segment.page_bytes() - at % segment.page_bytes();
    while (length > here) {
      length -= here;
      at += here;
      if (at >= segment.size_bytes()) return std::optional(at);
      VELAFS_ASSIGN(const auto header, segment.HeaderAt(at));
      if (!header) return std::optional<uint64_t>();
      if (!header->continues_record) return std::optional(at);
      at += header->size_bytes;
      here = segment.page_bytes() - header->size_bytes;
    }
    return std::optional((at + length + kAlignment - 1) / kAlignment * kAlignment);
  }

  // Returns where the next record begins; nothing where the WAL ends.
  Result<std::optional<uint64_t>> LookAt(WalSegment& segment, uint64_t at) {
    constexpr std::optional<uint64_t> kEnd;
    const uint64_t page = at - at % segment.page_bytes();
    if (page != checked_page_) {
      VELAFS_ASSIGN(const auto header, segment.HeaderAt(page));
      if (!header) return kEnd;
      checked_page_ = page;
      if (at == page) at += header->size_bytes;
    }
    size_t available = 0;
    VELAFS_ASSIGN(const std::byte* header, segment.Bytes(at, &available));
    Record gathered;  // of a header that goes on in the next page
    if (available < kRecordHeaderBytes) {
      VELAFS_ASSIGN(gathered, Gather(segment, at, kRecordHeaderBytes));
      header = gathered.bytes.size() < kRecordHeaderBytes ? nullptr : gathered.bytes.data();
    }
    if (header == nullptr) return kEnd;
    const auto length = LoadAs<uint32_t>(header);
    if (length < kRecordHeaderBytes) return kEnd;
    const auto operation = static_cast<uint8_t>(header[kRecordInfoAt]) & kOperationBits;
    if (static_cast<uint8_t>(header[kResourceManagerAt]) == kTablespaceManager &&
        operation == kCreate && length <= kMaxCreateBytes) {
      VELAFS_ASSIGN(Record record, Gather(segment, at, length));
      if (record.bytes.size() == length) Empty(std::move(record));
    }
    return After(segment, at, length);
  }

  // The bytes of a record from `at` on, over pages and segments; fewer where the WAL ends.
  Result<Record> Gather(WalSegment& segment, uint64_t at, size_t length) {
    Record record;
    record.bytes.reserve(length);
    std::optional<WalSegment> next;
    WalSegment* in = &segment;
    while (record.bytes.size() < length) {
      if (at >= in->size_bytes()) {
        const auto name = names_.find(in->NextName());
        if (next || name == names_.end()) return record;
        VELAFS_ASSIGN(next, Open(*name));
        if (!next) return record;
        in = &*next;
        at = 0;
      }
      if (at % in->page_bytes() == 0) {
        VELAFS_ASSIGN(const auto header, in->HeaderAt(at));
        if (!header || !header->continues_record) return record;
        at += header->size_bytes;
      }
      size_t available = 0;
      VELAFS_ASSIGN(const std::byte* bytes, in->Bytes(at, &available));
      if (bytes == nullptr) return record;
      const size_t taken = std::min(available, length - record.bytes.size());
      record.bytes.insert(record.bytes.end(), bytes, bytes + taken);
      const std::string* name = &*names_.find(in->name());
      for (size_t i = 0; i < taken; ++i) record.places.push_back({name, at + i});
      at += taken;
    }
    return record;
  }

  void Empty(Record record) {
    if (ChecksumOf(record.bytes) != LoadAs<uint32_t>(record.bytes.data() + kCrcAt)) return;
    const std::optional<size_t> location = LocationAt(record.bytes);
    if (!location) return;
    record.bytes[*location] = std::byte{0};
    const uint32_t crc = ChecksumOf(record.bytes);
    const auto* crc_bytes = reinterpret_cast<const char*>(&crc);
    Put(record.places[*location], '\0');
    for (size_t i = 0; i < sizeof crc; ++i) Put(record.places[kCrcAt + i], crc_bytes[i]);
  }

  void Put(const Record::Place& place, char byte) {
    std::vector<BytePatch>& patches = patches_[*place.segment];
    const bool continues =
        !patches.empty() &&
        patches.back().offset_bytes + patches.back().bytes.size() == place.offset;
    if (!continues) patches.push_back({place.offset, ""});
    patches.back().bytes += byte;
  }

  const std::set<std::string>& names_;
  const std::function<Result<WalFile>(const std::string&)>& open_;
  uint64_t checked_page_ = UINT64_MAX;  // of the segment that is walked
  PatchesByName patches_;
};

}  // namespace

bool IsWalSegmentName(const std::string& name) {
  return name.size() == 24 && name.find_first_not_of("0123456789ABCDEF") == std::string::npos;
}

Result<PatchesByName> EmptyTablespaceLocations(
    const std::set<std::string>& segments,
    const std::function<Result<WalFile>(const std::string& name)>& open) {
  return Walker(segments, open).Run();
}

}  // namespace velafs::store
