// Reads, without a server, the files of catalogs that all databases of a branch share. They may lag
// behind a server that runs on the branch, and their rows may be of any age.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace velafs::pgctl {

// OIDs of catalogs.
inline constexpr uint32_t kRoleCatalog = 1260;
inline constexpr uint32_t kDatabaseCatalog = 1262;
inline constexpr uint32_t kRoleSettingCatalog = 2964;
inline constexpr uint32_t kSubscriptionCatalog = 6100;

// All that the catalog's file holds; nothing if it cannot be found, or is too large to be read.
// To be called as the data's owner.
std::optional<std::string> ReadSharedCatalog(const std::string& data_dir, uint32_t catalog);

// A row with its header. Borrows the file's content.
class CatalogRow {
 public:
  explicit CatalogRow(std::string_view bytes) : bytes_(bytes) {}

  // Its columns. Empty if the row is damaged.
  std::string_view Columns() const;
  // Certainly deleted, replaced or never committed, as the row itself says.
  bool IsDead() const;
  // No transaction has deleted or replaced it, or begun to.
  bool IsNewest() const;

 private:
  std::string_view bytes_;
};

// The rows of all pages; nothing if a page is damaged.
std::optional<std::vector<CatalogRow>> RowsOf(std::string_view content);

// Numbers as this machine has them; 0 past the end.
uint16_t ShortAt(std::string_view bytes, size_t offset);
uint32_t NumberAt(std::string_view bytes, size_t offset);
// A column of PostgreSQL's type name.
std::string NameAt(std::string_view bytes, size_t offset);

}  // namespace velafs::pgctl
