#include "velafs/store/import/source_tablespaces.h"

#include <algorithm>
#include <set>

#include "velafs/store/import/source_tree.h"
#include "velafs/store/import/wal_tablespaces.h"

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

constexpr char kAutoConf[] = "postgresql.auto.conf";
constexpr uint64_t kMaxConfBytes = 1024 * 1024;

bool HasTablespaces(const Source& source) {
  const uint32_t all = source.Find(0, kTablespaceLinks);
  return all != 0 && std::ranges::any_of(source.entries, [all](const SourceEntry& entry) {
           return entry.parent == all && entry.kind == Kind::kDirectory;
         });
}

// True for a file with the line that AllowDirectories adds, as one that was exported has.
Result<bool> AllowsDirectories(const Source& source, uint32_t entry) {
  VELAFS_ASSIGN(const os::UniqueFd fd, source.Open(entry));
  std::string text(std::min<uint64_t>(source.SizeOf(entry), kMaxConfBytes), '\0');
  VELAFS_TRY(source.Read(entry, fd.get(), 0, std::as_writable_bytes(std::span(text))));
  return text.ends_with(std::string("\n") + kAllowInPlace);
}

// A server that recovers from a backup stops at a directory in pg_tblspc unless this is on. It
// knows the setting if it is of August 2022 or later: 10.22, 11.17, 12.12, 13.8, 14.5, 15.
Status AllowDirectories(Source& source) {
  const uint32_t entry = source.Find(0, kAutoConf);
  if (entry == 0 || source.entries[entry].kind != Kind::kFile) {
    source.warnings.push_back(
        "it has tablespaces, but no postgresql.auto.conf: set allow_in_place_tablespaces = on "
        "where its server is configured");
    return {};
  }
  VELAFS_ASSIGN(const bool is_allowed, AllowsDirectories(source, entry));
  if (is_allowed) return {};
  source.changes[entry].suffix = std::string("\n") + kAllowInPlace;
  source.warnings.push_back(
      "its tablespaces are directories in pg_tblspc now: postgresql.auto.conf has got "
      "\"allow_in_place_tablespaces = on\"; pg_basebackup --format=tar of PostgreSQL 15 and "
      "earlier "
      "leaves them out, --format=plain does not");
  return {};
}

Result<WalFile> OpenSegment(const Source& source, uint32_t entry) {
  VELAFS_ASSIGN(os::UniqueFd fd, source.Open(entry));
  const auto size_bytes = static_cast<uint64_t>(source.entries[entry].info.st_size);
  return WalFile{std::move(fd), source.BeginOf(entry), size_bytes};
}

// True when its WAL makes a tablespace.
Result<bool> EmptyLocations(Source& source) {
  std::map<std::string, uint32_t> segments;
  for (const char* directory : {"pg_wal", "pg_xlog"}) {
    const uint32_t wal = source.Find(0, directory);
    if (wal == 0) continue;
    for (uint32_t i = 1; i < source.entries.size(); ++i) {
      const SourceEntry& entry = source.entries[i];
      const bool is_file = entry.kind == Kind::kFile || entry.kind == Kind::kOtherName;
      if (entry.parent != wal || !is_file || !IsWalSegmentName(entry.name)) continue;
      const uint32_t file = entry.kind == Kind::kFile ? i : entry.same_as;
      if (!source.HasContent(file)) {
        return Refused("\"" + source.SourcePath(i) +
                       "\" is not a WAL segment of its own, but another name of a file");
      }
      segments.emplace(entry.name, file);
    }
  }
  std::set<std::string> names;
  for (const auto& [name, entry] : segments) names.insert(name);
  VELAFS_ASSIGN(PatchesByName patches,
                EmptyTablespaceLocations(names, [&](const std::string& name) {
                  return OpenSegment(source, segments.at(name));
                }));
  for (auto& [name, of_file] : patches) {
    source.changes[segments.at(name)].patches = std::move(of_file);
  }
  if (patches.empty()) return false;
  source.warnings.push_back(
      "its WAL makes a tablespace: in the branch that will be a directory in pg_tblspc");
  return true;
}

}  // namespace

Status KeepTablespacesInside(Source& source) {
  VELAFS_ASSIGN(const bool will_have_some, EmptyLocations(source));
  return HasTablespaces(source) || will_have_some ? AllowDirectories(source) : Status();
}

}  // namespace velafs::store
