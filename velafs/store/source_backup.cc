#include "velafs/store/source_backup.h"

#include <sstream>

#include "velafs/store/source_tree.h"
#include "velafs/store/wal_tablespaces.h"

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

// True for a line that gives restore_command a command; the last one counts.
bool SetsRestoreCommand(const std::string& configuration) {
  std::istringstream lines(configuration);
  bool is_set = false;
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kName = "restore_command";
    const size_t name = line.find_first_not_of(" \t");
    if (name == std::string::npos || line.compare(name, kName.size(), kName) != 0) continue;
    const size_t quote = line.find('\'', name);
    is_set = quote != std::string::npos && line.compare(quote, 2, "''") != 0;
  }
  return is_set;
}

// Whether a server would get the WAL that is missing from somewhere else.
Result<bool> GetsWalElsewhere(const Source& source) {
  VELAFS_ASSIGN(const std::string recovery, source.ReadTopFile("recovery.conf"));
  if (SetsRestoreCommand(recovery)) return true;
  if (source.Find(0, "recovery.signal") == 0 && source.Find(0, "standby.signal") == 0) return false;
  VELAFS_ASSIGN(const std::string own, source.ReadTopFile("postgresql.conf"));
  VELAFS_ASSIGN(const std::string automatic, source.ReadTopFile("postgresql.auto.conf"));
  return SetsRestoreCommand(own) || SetsRestoreCommand(automatic);
}

Status CheckTablespaces(const Source& source, const std::string& map) {
  const uint32_t links = source.Find(0, kTablespaceLinks);
  std::string missing;
  std::string elsewhere;
  for (const auto& [oid, path] : ParseTablespaceMap(map)) {
    const uint32_t entry = links == 0 ? 0 : source.Find(links, oid);
    const bool is_there = entry != 0 && source.entries[entry].kind == Kind::kDirectory;
    const std::string said = oid + " (it was \"" + path + "\")";
    if (!is_there) {
      missing += (missing.empty() ? "" : ", ") + said;
    } else if (source.entries[entry].source_path == path) {
      elsewhere += (elsewhere.empty() ? "" : ", ") + oid + " in \"" + path + "\"";
    }
  }
  if (!missing.empty()) {
    return Refused("it is a backup without its tablespaces: there is no " + missing,
                   "unpack each OID.tar of the backup into pg_tblspc/OID, or give --from-tar the "
                   "directory that has all of its tars");
  }
  if (elsewhere.empty()) return {};
  return Refused(
      "it is a backup whose links lead to the tablespaces of the server it was made of: " +
          elsewhere,
      "make each link in pg_tblspc the backup's own copy of that directory");
}

Status CheckWal(const Source& source, const std::string& label) {
  const std::string segment = FirstWalSegment(label);
  if (segment.empty()) return {};
  for (const char* directory : {"pg_wal", "pg_xlog"}) {
    const uint32_t wal = source.Find(0, directory);
    // Of another name, as that of a directory there, it would be no WAL.
    const bool is_there = wal != 0 && IsWalSegmentName(segment) && source.Find(wal, segment) != 0;
    if (is_there) return {};
  }
  VELAFS_ASSIGN(const bool gets_wal, GetsWalElsewhere(source));
  if (gets_wal) return {};
  return Refused("it is a backup without its WAL: recovery begins in segment \"" + segment +
                     "\", which is not in pg_wal",
                 "unpack the backup's pg_wal.tar into pg_wal, give --from-tar the directory that "
                 "has all of its tars, or make the backup with -X stream or -X fetch; without its "
                 "WAL it cannot be recovered, and backup_label has to stay");
}

}  // namespace

std::map<std::string, std::string> ParseTablespaceMap(const std::string& text) {
  std::map<std::string, std::string> tablespaces;
  std::string line;
  const auto end_line = [&] {
    const size_t space = line.find(' ');
    if (space != std::string::npos) tablespaces[line.substr(0, space)] = line.substr(space + 1);
    line.clear();
  };
  bool is_escaped = false;  // PostgreSQL writes a backslash before what would end the line
  for (const char c : text) {
    if (!is_escaped && c == '\\') {
      is_escaped = true;
      continue;
    }
    if (!is_escaped && (c == '\n' || c == '\r')) {
      end_line();
    } else {
      line += c;
    }
    is_escaped = false;
  }
  end_line();
  return tablespaces;
}

std::string FirstWalSegment(const std::string& backup_label) {
  constexpr std::string_view kLine = "START WAL LOCATION:";
  constexpr std::string_view kFile = "(file ";
  if (!backup_label.starts_with(kLine)) return "";
  const std::string line = backup_label.substr(0, backup_label.find('\n'));
  const size_t file = line.find(kFile);
  if (file == std::string::npos) return "";
  const size_t name = file + kFile.size();
  return line.substr(name, line.find(')', name) - name);
}

Status CheckBackupIsWhole(const Source& source) {
  VELAFS_ASSIGN(const std::string map, source.ReadTopFile(kTablespaceMap));
  VELAFS_TRY(CheckTablespaces(source, map));
  VELAFS_ASSIGN(const std::string label, source.ReadTopFile("backup_label"));
  return CheckWal(source, label);
}

}  // namespace velafs::store
