#include "pgctl-wrapper/data/shared_catalogs.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "pgctl-wrapper/data/catalog_file.h"

namespace velafs::pgctl {
namespace {

constexpr uint32_t kBootstrapRole = 10;
// More names than that no renaming leaves open.
constexpr size_t kMostCandidates = 16;
constexpr size_t kNameOffset = 4;  // of roles and databases alike: after the OID
constexpr size_t kSuperuserOffset = 68;
constexpr size_t kMayLogInOffset = 72;

bool Is(const CatalogRow& role, size_t offset) {
  const std::string_view columns = role.Columns();
  return offset < columns.size() && columns[offset] == 1;
}

// The names of all rows that may be alive.
std::optional<std::vector<std::string>> NamesIn(const std::string& data_dir, uint32_t catalog) {
  const std::optional<std::string> content = ReadSharedCatalog(data_dir, catalog);
  if (!content) return std::nullopt;
  const auto rows = RowsOf(*content);
  if (!rows) return std::nullopt;
  std::vector<std::string> names;
  for (const CatalogRow& row : *rows) {
    std::string name = NameAt(row.Columns(), kNameOffset);
    if (!row.IsDead() && !name.empty()) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

std::vector<std::string> BootstrapRolesIn(std::string_view content) {
  const auto rows = RowsOf(content);
  if (!rows) return {};
  std::vector<std::string> names;
  std::set<std::string> known;
  // Stops at `most` names: false if there are more.
  const auto add = [&](size_t most, const auto& is_wanted) {
    for (const CatalogRow& row : *rows) {
      if (row.IsDead() || !is_wanted(row)) continue;
      std::string name = NameAt(row.Columns(), kNameOffset);
      if (name.empty() || !known.insert(name).second) continue;
      if (names.size() == most) return false;
      names.push_back(std::move(name));
    }
    return true;
  };
  const auto is_first = [](const CatalogRow& row) {
    return NumberAt(row.Columns(), 0) == kBootstrapRole;
  };
  const bool can_log_in = std::any_of(rows->begin(), rows->end(), [&](const CatalogRow& row) {
    return is_first(row) && row.IsNewest() && !row.IsDead() && Is(row, kMayLogInOffset);
  });
  if (!can_log_in) {
    add(kMostCandidates, [&](const CatalogRow& row) {
      return row.IsNewest() && Is(row, kSuperuserOffset) && Is(row, kMayLogInOffset);
    });
  }
  const auto is_newest = [&](const CatalogRow& row) { return is_first(row) && row.IsNewest(); };
  const size_t most = names.size() + kMostCandidates;
  if (!add(most, is_newest) || !add(most, is_first)) return {};
  names.resize(std::min(names.size(), kMostCandidates));
  return names;
}

std::vector<std::string> BootstrapRoles(const std::string& data_dir) {
  const std::optional<std::string> content = ReadSharedCatalog(data_dir, kRoleCatalog);
  return content ? BootstrapRolesIn(*content) : std::vector<std::string>();
}

std::optional<std::vector<std::string>> RoleNames(const std::string& data_dir) {
  std::optional<std::vector<std::string>> names = NamesIn(data_dir, kRoleCatalog);
  if (names) std::erase_if(*names, [](const std::string& name) { return name.starts_with("pg_"); });
  return names;
}

std::optional<std::vector<std::string>> DatabaseNames(const std::string& data_dir) {
  return NamesIn(data_dir, kDatabaseCatalog);
}

bool IsLastingDatabase(const std::string& data_dir, const std::string& name) {
  const std::optional<std::string> content = ReadSharedCatalog(data_dir, kDatabaseCatalog);
  const auto rows = content ? RowsOf(*content) : std::nullopt;
  return rows && std::any_of(rows->begin(), rows->end(), [&name](const CatalogRow& row) {
           return !row.IsDead() && row.IsNewest() && NameAt(row.Columns(), kNameOffset) == name;
         });
}

}  // namespace velafs::pgctl
