// The catalogs' files, looked at without a server.
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "pgctl-wrapper/preparation.h"
#include "pgctl-wrapper/text_file.h"

namespace velafs::pgctl {
namespace {

constexpr uint64_t kLargestMapBytes = 1 << 16;
constexpr uint64_t kLargestCatalogBytes = 64 << 20;  // more is not looked at, but sent to a server
constexpr uint32_t kMapMagic = 0x592717;
constexpr uint32_t kSubscription = 6100;  // OIDs of catalogs that all databases share
constexpr uint32_t kDatabaseRoleSetting = 2964;

uint32_t NumberAt(const std::string& bytes, size_t offset) {
  uint32_t number = 0;
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

// What the catalog's file holds; nothing when it cannot be found.
std::optional<std::string> ContentOf(const std::string& data_dir, uint32_t catalog) {
  const Result<std::string> map =
      ReadBoundedFile(data_dir + "/global/pg_filenode.map", kLargestMapBytes);
  if (!map.ok()) return std::nullopt;
  const std::optional<std::string> file = FileOf(data_dir, *map, catalog);
  if (!file) return std::nullopt;
  Result<std::string> content = ReadBoundedFile(*file, kLargestCatalogBytes);
  if (!content.ok()) return std::nullopt;
  return *std::move(content);
}

uint16_t ShortAt(std::string_view bytes, size_t offset) {
  uint16_t number = 0;
  if (offset + sizeof number <= bytes.size()) {
    std::memcpy(&number, bytes.data() + offset, sizeof number);
  }
  return number;
}

// Whether the bytes of a row's setconfig are not the text as it is: compressed, or in another file.
// A row has two OIDs before it.
bool HidesSettings(std::string_view row) {
  constexpr size_t kHeaderBytes = 23;
  constexpr size_t kHeaderLengthOffset = 22;
  constexpr unsigned kElsewhere = 0x01;  // the first byte of a value that has no length there
  constexpr unsigned kCompressed = 0x02;
  if (row.size() < kHeaderBytes) return true;
  const size_t settings = static_cast<unsigned char>(row[kHeaderLengthOffset]) + 8;
  if (settings >= row.size()) return false;  // null
  const unsigned first = static_cast<unsigned char>(row[settings]);
  return first == kElsewhere || (first & 0x03) == kCompressed;
}

// Likewise of any row of a page, which may be of any age. True of a damaged page, too.
bool PageHidesSettings(std::string_view page) {
  constexpr size_t kHeaderBytes = 24;
  constexpr size_t kPointerBytes = 4;
  constexpr uint32_t kInUse = 1;
  const size_t pointers_end = ShortAt(page, 12);
  if (pointers_end == 0) return false;  // a new page
  if (pointers_end < kHeaderBytes || pointers_end > page.size()) return true;
  for (size_t at = kHeaderBytes; at + kPointerBytes <= pointers_end; at += kPointerBytes) {
    uint32_t pointer = 0;  // 15 bits of offset, 2 of state, 15 of length
    std::memcpy(&pointer, page.data() + at, sizeof pointer);
    const size_t offset = pointer & 0x7fff;
    const size_t length = pointer >> 17;
    if (((pointer >> 15) & 3) != kInUse) continue;
    if (offset + length > page.size() || HidesSettings(page.substr(offset, length))) return true;
  }
  return false;
}

bool MayNamePreloads(const std::string& data_dir) {
  constexpr size_t kPageBytes = 8192;
  const std::optional<std::string> content = ContentOf(data_dir, kDatabaseRoleSetting);
  if (!content || content->find("preload_libraries") != std::string::npos) return true;
  std::string_view rest = *content;
  for (; rest.size() >= kPageBytes; rest.remove_prefix(kPageBytes)) {
    const bool is_known_size = (ShortAt(rest, 18) & 0xff00) == kPageBytes || ShortAt(rest, 12) == 0;
    if (!is_known_size || PageHidesSettings(rest.substr(0, kPageBytes))) return true;
  }
  return !rest.empty();
}

}  // namespace

bool MayHaveSubscriptions(const std::string& data_dir) {
  const std::optional<std::string> content = ContentOf(data_dir, kSubscription);
  return !content || !content->empty();
}

bool MayNeedPreparation(const std::string& data_dir) {
  return CountPreparedTransactions(data_dir) > 0 || MayHaveSubscriptions(data_dir) ||
         MayNamePreloads(data_dir);
}

}  // namespace velafs::pgctl
