// Fills a Source by walking directories.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "velafs/store/import/source.h"

namespace velafs::store {

inline constexpr char kTablespaceLinks[] = "pg_tblspc";
// Where branches imported by earlier versions have the tablespaces that those links lead to, each
// as <this>/<oid>.
inline constexpr char kOldTablespaces[] = "velafs_tablespaces";
// Part of a base backup: makes a server put links to production's directories into pg_tblspc.
inline constexpr char kTablespaceMap[] = "tablespace_map";
// A line of a server's configuration; without it a directory in pg_tblspc ends recovery from a
// backup.
inline constexpr char kAllowInPlace[] = "allow_in_place_tablespaces = on\n";

// A directory whose content a server makes again when it starts.
bool IsEmptiedDirectory(std::string_view name);
// A file, or a directory of them, that a server makes for one statement.
bool IsTemporary(std::string_view name);
// What a tablespace has for a name in pg_tblspc.
bool IsOid(std::string_view name);

// One thread.
class SourceTree {
 public:
  explicit SourceTree(Source& source) : source(source) {}

  // Makes entry 0 of the directory `root` and walks it.
  Status WalkRoot(const std::string& root);
  // The same for a tablespace's directory, without links, and only for PostgreSQL's files in it.
  Status WalkTablespace(const std::string& root);
  // Adds the content of a directory entry, and below. Files that cannot be copied are added to
  // `problems`.
  void WalkBelow(uint32_t directory);

  uint32_t Add(uint32_t parent, const std::string& name, const struct stat& info);
  // Decides on a non-directory with this entry's info: its kind, left out, or a problem. It is
  // `name` in the open `directory`, or a path if that is AT_FDCWD.
  void AddFile(uint32_t entry, int directory, const std::string& name);
  void AddProblem(uint32_t entry, const std::string& what);

  bool IsTablespaceLink(uint32_t entry) const;
  // For files that PostgreSQL keeps in the directory: data, or configuration.
  bool IsPostgresOwn(uint32_t entry) const;
  // Names in a directory that the branch does not get.
  bool IsLeftOut(uint32_t directory, const std::string& name) const;

  Source& source;
  std::vector<uint32_t> links;  // symbolic links found, their target as in the source
  // Real directories whose content is in the branch, and their entries.
  std::vector<std::pair<std::string, uint32_t>> roots;
  std::vector<std::string> problems;
  std::vector<std::string> left_out;       // sockets and FIFOs
  std::vector<std::string> foreign_links;  // that the caller wants refused

 private:
  // A step of the walk: the content of one directory. Its subdirectories are put onto `ahead`.
  void WalkOne(uint32_t directory, std::vector<uint32_t>* ahead);
  Status AddRoot(const std::string& root);

  bool is_tablespace_ = false;                         // the root is one
  std::map<std::pair<dev_t, ino_t>, uint32_t> files_;  // of files that may have several names
};

}  // namespace velafs::store
