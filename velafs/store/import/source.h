// A PGDATA to be imported, in the form of the branch to be made: every name, the place of its
// content, and the treatment of symbolic links.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/os/acting_as.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/import/wal_tablespaces.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct SourceEntry {
  enum class Kind : uint8_t {
    kDirectory,
    kFile,
    kSymlink,
    kOtherName,  // one more name of the entry `same_as`
    kNothing,    // the branch does not have it
  };
  Kind kind = Kind::kDirectory;
  uint32_t parent = 0;   // entry of the directory it is in; the root is its own parent
  uint32_t same_as = 0;  // an entry of another kind, when this is kOtherName
  uint32_t depth = 0;    // directories that it is in, in the source
  uint32_t nlink = 0;    // names in the branch; for a directory 2 + its subdirectories
  std::string name;
  struct stat info {};  // of the file that the content is read from
  std::string target;   // of a symbolic link, as the branch will have it
  // The path to read it from; empty for `name` in the parent's path.
  std::string source_path;
};

// A difference between a file in the branch and in the source.
struct SourceChange {
  std::vector<BytePatch> patches;  // in order of offset
  std::string suffix;              // content of the branch after the file's own
  bool is_all = false;             // the source has no such file: `suffix` is all of it
};

// For a source that came as a stream: the content that is stored only after its end, one file after
// another. The rest is stored already.
struct Spool {
  os::UniqueFd file;
  std::map<uint32_t, uint64_t> offsets;  // by entry, where its content begins
};

// Externally synchronised; const calls from any thread.
class Source {
 public:
  // The user whose rights decide which files may be read.
  os::Credentials reader;
  // Entry 0 is the root; a directory comes before what is in it.
  std::vector<SourceEntry> entries;
  // By entry, each a kFile.
  std::map<uint32_t, SourceChange> changes;
  // Differences between branch and source, in words.
  std::vector<std::string> warnings;
  // The directory of configuration files outside of the source.
  std::optional<std::string> config_dir;
  // Nothing for a directory, whose files are read where they are.
  std::optional<Spool> spool;

  std::string SourcePath(uint32_t entry) const;
  // Below the branch's root, without a slash in front; "" for the root.
  std::string BranchPath(uint32_t entry) const;
  // The entry of that name in a directory; 0 when it has none.
  uint32_t Find(uint32_t directory, std::string_view name) const;
  // The first MiB of a file in the top directory, in the branch's form; "" if there is no such
  // regular file.
  Result<std::string> ReadTopFile(const std::string& name) const;
  // The first MiB of a file, in the branch's form; "" if it is not a file, or its content is stored
  // already.
  Result<std::string> ReadText(uint32_t entry) const;
  // A kFile that comes from elsewhere: its content, and its time.
  void AddText(uint32_t directory, const std::string& name, std::string text, timespec mtime);
  // An empty directory. Both belong to the owner of PG_VERSION.
  uint32_t AddDirectory(uint32_t directory, const std::string& name);
  // True for files that AddText has added.
  bool IsText(uint32_t entry) const;
  // False for a kFile whose content is stored already.
  bool HasContent(uint32_t entry) const;
  // The offset of a kFile's content in the file that Open opens.
  uint64_t BeginOf(uint32_t entry) const;
  // Opens a kFile to read it, if it still is the file that was found, by a path without symbolic
  // links. Does not change its atime where that is permitted.
  Result<os::UniqueFd> Open(uint32_t entry) const;
  // The size of a kFile in the branch.
  uint64_t SizeOf(uint32_t entry) const;
  // Fills `into` with the branch's content from `offset` on, all of it within SizeOf. Fails as
  // Changed does if the open file is too short.
  Status Read(uint32_t entry, int fd, uint64_t offset, std::span<std::byte> into) const;
  // Failed, naming the file, when it has changed since it was found.
  Status CheckUnchanged(uint32_t entry, int fd) const;
  Status Changed(uint32_t entry) const;  // that failure
  // After all was read: Failed or Refused if in the meantime a file has changed, gone, or a server
  // has been started.
  Status CheckAllUnchanged() const;

 private:
  uint32_t AddMade(uint32_t directory, const std::string& name, mode_t mode);
  // `path`, and below that the names from entry `top`, left out, to `entry`.
  std::string PathFrom(uint32_t top, std::string path, uint32_t entry) const;
};

// With whose rights the directory of a configuration is read.
struct ConfigReader {
  os::Credentials rights;
  // The user was looked up as the directory's owner: once open, it has to be his or root's.
  bool is_owner = false;
};

// Sets every entry's nlink.
void CountLinks(std::vector<SourceEntry>& entries);

// Looks through the PGDATA at `directory` and changes nothing. NotFound if there is no such
// directory. Refused if it is not a PGDATA, a server runs on it, `keep_out` (the store) lies
// within, it has files that cannot be copied, or links out of it that `options` refuse: all of
// these are named. Files that `reader` may not read cannot be copied; a process of neither that
// user nor root is Refused. `config` reads the directory that `options` name; without it, the
// reader does.
Result<Source> FindSource(const std::string& directory, const std::string& keep_out,
                          const os::Credentials& reader, const ImportOptions& options = {},
                          const std::optional<ConfigReader>& config = {});

}  // namespace velafs::store
