#include "pgctl-wrapper/data/catalog_file.h"

#include <cstring>

#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

constexpr uint64_t kLargestMapBytes = 1 << 16;
constexpr uint64_t kLargestCatalogBytes = 64 << 20;
constexpr uint32_t kMapMagic = 0x592717;
constexpr size_t kServerPageBytes = 8192;
constexpr size_t kNameBytes = 64;

constexpr size_t kRowHeaderBytes = 23;
constexpr size_t kDeletedByOffset = 4;  // a transaction; 0: none
constexpr size_t kFlagsOffset = 20;
constexpr size_t kHeaderLengthOffset = 22;
constexpr unsigned kOnlyLocked = 0x0080;
constexpr unsigned kMadeByCommitted = 0x0100;
constexpr unsigned kMadeByAborted = 0x0200;
constexpr unsigned kDeletedByCommitted = 0x0400;
constexpr unsigned kDeletedByNobody = 0x0800;

template <typename Number>
Number ReadAt(std::string_view bytes, size_t offset) {
  Number number = 0;
  if (offset + sizeof number <= bytes.size()) {
    std::memcpy(&number, bytes.data() + offset, sizeof number);
  }
  return number;
}

// The file of a shared catalog, by global/pg_filenode.map: a magic number, a count, and pairs of
// OID and file number.
std::optional<std::string> FileOf(const std::string& data_dir, const std::string& map,
                                  uint32_t catalog) {
  if (NumberAt(map, 0) != kMapMagic) return std::nullopt;
  const uint32_t count = NumberAt(map, 4);
  for (size_t i = 0; i < count && 8 * (i + 2) <= map.size(); ++i) {
    if (NumberAt(map, 8 * (i + 1)) != catalog) continue;
    return data_dir + "/global/" + std::to_string(NumberAt(map, 8 * (i + 1) + 4));
  }
  return std::nullopt;
}

// False if the page is damaged.
bool AddRows(std::string_view page, std::vector<CatalogRow>* rows) {
  constexpr size_t kPageHeaderBytes = 24;
  constexpr size_t kPointerBytes = 4;
  constexpr uint32_t kInUse = 1;
  const size_t pointers_end = ShortAt(page, 12);
  if (pointers_end == 0) return true;  // a new page
  if ((ShortAt(page, 18) & 0xff00) != kServerPageBytes) return false;
  if (pointers_end < kPageHeaderBytes || pointers_end > page.size()) return false;
  for (size_t at = kPageHeaderBytes; at + kPointerBytes <= pointers_end; at += kPointerBytes) {
    const uint32_t pointer = NumberAt(page, at);  // 15 bits of offset, 2 of state, 15 of length
    const size_t offset = pointer & 0x7fff;
    const size_t length = pointer >> 17;
    if (((pointer >> 15) & 3) != kInUse) continue;
    if (offset + length > page.size() || length < kRowHeaderBytes) return false;
    rows->emplace_back(page.substr(offset, length));
  }
  return true;
}

}  // namespace

std::optional<std::string> ReadSharedCatalog(const std::string& data_dir, uint32_t catalog) {
  const Result<std::string> map =
      ReadBoundedFile(data_dir + "/global/pg_filenode.map", kLargestMapBytes);
  if (!map.ok()) return std::nullopt;
  const std::optional<std::string> file = FileOf(data_dir, *map, catalog);
  if (!file) return std::nullopt;
  Result<std::string> content = ReadBoundedFile(*file, kLargestCatalogBytes);
  if (!content.ok()) return std::nullopt;
  return *std::move(content);
}

std::string_view CatalogRow::Columns() const {
  if (bytes_.size() < kRowHeaderBytes) return {};
  const size_t header = static_cast<unsigned char>(bytes_[kHeaderLengthOffset]);
  return header < bytes_.size() ? bytes_.substr(header) : std::string_view();
}

bool CatalogRow::IsDead() const {
  const unsigned flags = ShortAt(bytes_, kFlagsOffset);
  const unsigned made = flags & (kMadeByCommitted | kMadeByAborted);  // both: frozen
  const unsigned deleted = flags & (kDeletedByCommitted | kDeletedByNobody | kOnlyLocked);
  return made == kMadeByAborted || deleted == kDeletedByCommitted;
}

bool CatalogRow::IsNewest() const {
  const unsigned flags = ShortAt(bytes_, kFlagsOffset);
  return (flags & (kDeletedByNobody | kOnlyLocked)) != 0 || NumberAt(bytes_, kDeletedByOffset) == 0;
}

std::optional<std::vector<CatalogRow>> RowsOf(std::string_view content) {
  std::vector<CatalogRow> rows;
  for (; content.size() >= kServerPageBytes; content.remove_prefix(kServerPageBytes)) {
    if (!AddRows(content.substr(0, kServerPageBytes), &rows)) return std::nullopt;
  }
  if (!content.empty()) return std::nullopt;
  return rows;
}

uint16_t ShortAt(std::string_view bytes, size_t offset) { return ReadAt<uint16_t>(bytes, offset); }

uint32_t NumberAt(std::string_view bytes, size_t offset) { return ReadAt<uint32_t>(bytes, offset); }

std::string NameAt(std::string_view bytes, size_t offset) {
  if (offset >= bytes.size()) return "";
  const std::string_view name = bytes.substr(offset, kNameBytes);
  return std::string(name.substr(0, name.find('\0')));
}

}  // namespace velafs::pgctl
