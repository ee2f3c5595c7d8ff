// The catalogs' files, looked at without a server.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgctl-wrapper/data/catalog_file.h"
#include "pgctl-wrapper/server/preparation.h"

namespace velafs::pgctl {
namespace {

// Whether the bytes of a row's setconfig are not the text as it is: compressed, or in another file.
// A row has two OIDs before it.
bool HidesSettings(const CatalogRow& row) {
  constexpr size_t kSettingsOffset = 8;
  constexpr unsigned kElsewhere = 0x01;  // the first byte of a value that has no length there
  constexpr unsigned kCompressed = 0x02;
  const std::string_view columns = row.Columns();
  if (columns.size() <= kSettingsOffset) return false;  // null
  const unsigned first = static_cast<unsigned char>(columns[kSettingsOffset]);
  return first == kElsewhere || (first & 0x03) == kCompressed;
}

bool MayNamePreloads(const std::string& data_dir) {
  const std::optional<std::string> content = ReadSharedCatalog(data_dir, kRoleSettingCatalog);
  if (!content || content->find("preload_libraries") != std::string::npos) return true;
  const auto rows = RowsOf(*content);
  return !rows || std::any_of(rows->begin(), rows->end(), HidesSettings);
}

}  // namespace

bool MayHaveSubscriptions(const std::string& data_dir) {
  const std::optional<std::string> content = ReadSharedCatalog(data_dir, kSubscriptionCatalog);
  return !content || !content->empty();
}

bool MayNeedPreparation(const std::string& data_dir) {
  return CountPreparedTransactions(data_dir) > 0 || MayHaveSubscriptions(data_dir) ||
         MayNamePreloads(data_dir);
}

}  // namespace velafs::pgctl
