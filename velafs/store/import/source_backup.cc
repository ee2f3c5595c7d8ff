#include "velafs/store/import/source_backup.h"

#include <optional>
#include <vector>

#include "velafs/base/control_file.h"
#include "velafs/store/import/config_text.h"
#include "velafs/store/import/source_tree.h"
#include "velafs/store/import/wal_end.h"
#include "velafs/store/import/wal_segment.h"
#include "velafs/store/import/wal_tablespaces.h"

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

// Whether `velapg start --recover` would get the WAL that is missing from an archive.
Result<bool> HasRestoreCommand(const Source& source) {
  std::vector<ConfigLine> lines;
  for (const char* name : {"recovery.conf", "postgresql.conf", "postgresql.auto.conf"}) {
    VELAFS_ASSIGN(const std::string text, source.ReadTopFile(name));
    for (ConfigLine& line : ParseConfig(text)) lines.push_back(std::move(line));
  }
  return !ValueIn(lines, "restore_command").empty();
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

bool HasSegment(const Source& source, const std::string& segment) {
  // Of another name, as that of a directory there, it would be no WAL.
  if (!IsWalSegmentName(segment)) return false;
  for (const char* directory : {"pg_wal", "pg_xlog"}) {
    const uint32_t wal = source.Find(0, directory);
    if (wal != 0 && source.Find(wal, segment) != 0) return true;
  }
  return false;
}

// What of its WAL a backup or a standby's copy lacks; "" for nothing.
Result<std::string> MissingWal(const Source& source, const std::string& label) {
  const std::string segment = FirstWalSegment(label);
  if (!segment.empty() && !HasSegment(source, segment)) {
    return "it is a backup without its WAL: recovery begins in segment \"" + segment +
           "\", which is not in pg_wal";
  }
  VELAFS_ASSIGN(const std::optional<std::string> end, WalEndThatIsMissing(source));
  if (!end) return std::string();
  return "it is the copy of a standby, and its WAL ends before " + *end +
         ", where its data becomes consistent";
}

Status CheckWal(Source& source, const std::string& label, bool allow_missing_wal) {
  VELAFS_ASSIGN(const std::string missing, MissingWal(source, label));
  if (missing.empty()) return {};
  VELAFS_ASSIGN(const bool has_archive, HasRestoreCommand(source));
  if (has_archive || allow_missing_wal) {
    source.warnings.push_back(missing +
                              "; `velapg start --recover` reads it from the archive that " +
                              (has_archive ? "its" : "the branch's") + " restore_command names");
    return {};
  }
  return Refused(
      missing,
      "unpack the backup's pg_wal.tar into pg_wal, give --from-tar the directory that "
      "has all of its tars, or make the backup with -X stream or -X fetch; "
      "--allow-missing-wal imports it if an archive has its WAL; backup_label has to stay");
}

Result<std::string> ReadWholeControl(const Source& source) {
  VELAFS_ASSIGN(std::string control, ReadControlFile(source, kWholeControlBytes));
  if (!IsDamagedControlFile(control)) return control;
  return Refused(std::string("its global/pg_control is damaged: ") +
                     (control.empty() ? "it is empty" : "it is cut, or its checksum is wrong"),
                 "no server can start on it; copy the stopped server's directory again");
}

// Of a server that was stopped, which starts at its last checkpoint.
Status CheckCheckpoint(Source& source, const std::string& control, bool allow_missing_wal) {
  const std::optional<CheckpointPlace> place = ParseCheckpoint(control);
  if (!place || ParseClusterState(control) != ClusterState::kShutDown) return {};
  const std::string segment =
      WalSegmentName(place->timeline, place->position, place->segment_bytes);
  if (HasSegment(source, segment)) return {};
  const std::string missing = "the WAL segment of its last checkpoint, \"" + segment +
                              "\", is not in pg_wal, and no server can start without it";
  if (allow_missing_wal) {
    source.warnings.push_back(missing);
    return {};
  }
  return Refused(missing,
                 "copy all of pg_wal, too, or its target if it is a link; --allow-missing-wal "
                 "imports the data anyway");
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

Status CheckBackupIsWhole(Source& source, bool allow_missing_wal) {
  VELAFS_ASSIGN(const std::string map, source.ReadTopFile(kTablespaceMap));
  VELAFS_TRY(CheckTablespaces(source, map));
  VELAFS_ASSIGN(const std::string label, source.ReadTopFile("backup_label"));
  VELAFS_ASSIGN(const std::string control, ReadWholeControl(source));
  if (label.empty()) VELAFS_TRY(CheckCheckpoint(source, control, allow_missing_wal));
  return CheckWal(source, label, allow_missing_wal);
}

}  // namespace velafs::store
