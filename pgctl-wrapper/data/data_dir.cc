#include "pgctl-wrapper/data/data_dir.h"

#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "pgctl-wrapper/data/catalog_file.h"
#include "velafs/base/status.h"
#include "velafs/base/text.h"

namespace velafs::pgctl {
namespace {

std::string InOctal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", mode & 07777U);
  return text;
}

bool HasLocale(const std::string& name) {
  const locale_t locale = newlocale(LC_COLLATE_MASK | LC_CTYPE_MASK, name.c_str(), nullptr);
  if (locale == nullptr) return false;
  freelocale(locale);
  return true;
}

// Where pg_database's rows have what, by the server's version.
constexpr int kLocalesAreTexts = 15;
constexpr size_t kDatabaseNameOffset = 4;
constexpr size_t kTakesConnectionsOffset = 78;
constexpr size_t kLocaleTextsOffset = 96;
constexpr size_t kOldLocalesOffset = 76;
constexpr size_t kOldTakesConnectionsOffset = 205;
constexpr size_t kLocaleBytes = 64;

// Takes a short text off `columns`; empty of one that is stored in another way.
std::string TakeText(std::string_view* columns) {
  if (columns->empty()) return "";
  const auto first = static_cast<unsigned char>((*columns)[0]);
  const size_t length = first >> 1;  // its own byte is counted
  if ((first & 1) == 0 || length == 0 || length > columns->size()) return "";
  const std::string text(columns->substr(1, length - 1));
  columns->remove_prefix(length);
  return text;
}

struct DatabaseRow {
  bool takes_connections = false;
  std::string collate;
  std::string ctype;
};

DatabaseRow ParseDatabase(std::string_view columns, int version) {
  DatabaseRow row;
  const bool has_texts = version >= kLocalesAreTexts;
  const size_t flag = has_texts ? kTakesConnectionsOffset : kOldTakesConnectionsOffset;
  row.takes_connections = flag < columns.size() && columns[flag] == 1;
  if (!has_texts) {
    row.collate = NameAt(columns, kOldLocalesOffset);
    row.ctype = NameAt(columns, kOldLocalesOffset + kLocaleBytes);
  } else if (columns.size() > kLocaleTextsOffset) {
    columns.remove_prefix(kLocaleTextsOffset);
    row.collate = TakeText(&columns);
    row.ctype = TakeText(&columns);
  }
  return row;
}

}  // namespace

Status CheckDirectoryOwner(const std::string& data_dir, const Owner& owner) {
  struct stat info {};
  if (stat(data_dir.c_str(), &info) != 0) {
    return SystemError(errno, "cannot read \"" + data_dir + "\"");
  }
  if (info.st_uid == owner.uid) return {};
  return Refused(
      "\"" + data_dir + "\" does not belong to user \"" + owner.name + "\", whose data is in it",
      "chown " + ShellWord(owner.name) + " " + ShellWord(data_dir));
}

Status CheckWayTo(const std::string& path, const Owner& owner) {
  const ActingAs acting(owner);
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    const std::string directory = path.substr(0, end);
    if (faccessat(AT_FDCWD, directory.c_str(), X_OK, AT_EACCESS) == 0 || errno != EACCES) continue;
    return Refused("directory \"" + directory + "\" is closed to user \"" + owner.name +
                       "\", whose data is below it",
                   "chmod o+x " + ShellWord(directory) + ", or move the store to another place");
  }
  return {};
}

std::string HowToReachStranger(const std::string& branch, const std::string& data_dir) {
  return "it was not started by velapg: connect to the port and socket directory in lines 4 and 5 "
         "of " +
         data_dir + "/postmaster.pid, or stop it, and start it with velapg start " + branch;
}

Result<std::optional<Override>> MendDirectoryMode(const std::string& data_dir) {
  constexpr mode_t kRefused = 027;
  struct stat info {};
  if (stat(data_dir.c_str(), &info) != 0) {
    return SystemError(errno, "cannot read \"" + data_dir + "\"");
  }
  if ((info.st_mode & kRefused) == 0) return std::optional<Override>();
  const mode_t mode = info.st_mode & 07777U & ~kRefused;
  if (chmod(data_dir.c_str(), mode) != 0) {
    return Refused("PostgreSQL wants mode 0700 or 0750 of \"" + data_dir + "\"",
                   "chmod " + InOctal(mode) + " " + ShellWord(data_dir));
  }
  return std::optional(
      Override{"mode of the data directory", InOctal(mode),
               "it was " + InOctal(info.st_mode) + ", and PostgreSQL wants 0700 or 0750"});
}

// The file has a magic number, an entry of 16 bytes for each origin, and a checksum.
size_t CountReplicationOrigins(const std::string& data_dir) {
  constexpr size_t kAroundBytes = 8;
  constexpr size_t kEntryBytes = 16;
  struct stat info {};
  const std::string path = data_dir + "/pg_logical/replorigin_checkpoint";
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  const auto bytes = static_cast<size_t>(info.st_size);
  return bytes < kAroundBytes ? 0 : (bytes - kAroundBytes) / kEntryBytes;
}

std::vector<UnusableDatabase> DatabasesWithoutLocaleIn(std::string_view content, int version) {
  std::vector<UnusableDatabase> unusable;
  const auto rows = RowsOf(content);
  if (!rows) return unusable;
  for (const CatalogRow& row : *rows) {
    if (row.IsDead() || !row.IsNewest()) continue;
    const DatabaseRow database = ParseDatabase(row.Columns(), version);
    if (!database.takes_connections) continue;
    for (const std::string& locale : {database.collate, database.ctype}) {
      if (locale.empty() || HasLocale(locale)) continue;
      unusable.push_back({NameAt(row.Columns(), kDatabaseNameOffset), locale});
      break;
    }
  }
  return unusable;
}

std::vector<UnusableDatabase> DatabasesWithoutLocale(const std::string& data_dir, int version) {
  const auto content = ReadSharedCatalog(data_dir, kDatabaseCatalog);
  return content ? DatabasesWithoutLocaleIn(*content, version) : std::vector<UnusableDatabase>();
}

}  // namespace velafs::pgctl
