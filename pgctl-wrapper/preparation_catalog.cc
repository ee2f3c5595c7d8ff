// The catalogs' files, looked at without a server.
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "pgctl-wrapper/preparation.h"
#include "pgctl-wrapper/text_file.h"

namespace velafs::pgctl {
namespace {

constexpr uint64_t kLargestMapBytes = 1 << 16;
constexpr uint64_t kLargestCatalogBytes = 64 << 20;  // more is not looked at, but sent to a server
constexpr uint32_t kMapMagic = 0x592717;
constexpr uint32_t kSubscription = 6100;  // OIDs of catalogs that all databases share
constexpr uint32_t kDatabaseRoleSetting = 2964;
constexpr uint32_t kDatabaseRoleSettingToast = 2966;

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

bool MayNamePreloads(const std::string& data_dir) {
  for (const uint32_t catalog : {kDatabaseRoleSetting, kDatabaseRoleSettingToast}) {
    const std::optional<std::string> content = ContentOf(data_dir, catalog);
    if (!content || content->find("preload_libraries") != std::string::npos) return true;
  }
  return false;
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
