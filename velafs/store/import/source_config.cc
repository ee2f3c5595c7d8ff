#include "velafs/store/import/source_config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem.hpp>
#include <cerrno>
#include <set>
#include <utility>
#include <vector>

#include "velafs/os/directory_stream.h"
#include "velafs/store/import/config_text.h"
#include "velafs/store/import/source_open.h"
#include "velafs/store/rules.h"
#include "velafs/store/users.h"

namespace velafs::store {
namespace {

namespace fs = boost::filesystem;

constexpr char kServerConfig[] = "postgresql.conf";
constexpr size_t kMaxConfigBytes = 1024 * 1024;
constexpr size_t kMaxFiles = 256;

struct ConfigFile {
  std::string text;
  timespec mtime{};
};

bool IsSafe(const struct stat& info, uid_t owner) {
  return (info.st_uid == 0 || info.st_uid == owner) && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// By the real path, whatever links lead there.
os::UniqueFd OpenReal(const std::string& path, int flags) {
  boost::system::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (!error) return OpenWithoutLinks(real.string(), flags);
  errno = error.value();
  return {};
}

// Fails with the errno of the system call, also of that which gave no `fd`; Refused for what is no
// file of that size.
Result<ConfigFile> ReadOpened(const os::UniqueFd& fd, const std::string& path) {
  struct stat info;
  if (!fd || fstat(fd.get(), &info) != 0) {
    return SystemError(errno, Quoted(path) + " cannot be read");
  }
  if (!S_ISREG(info.st_mode) || static_cast<uint64_t>(info.st_size) > kMaxConfigBytes) {
    return Refused(Quoted(path) + " is no file of at most 1 MiB");
  }
  ConfigFile file{std::string(static_cast<size_t>(info.st_size), '\0'), info.st_mtim};
  const ssize_t got = pread(fd.get(), file.text.data(), file.text.size(), 0);
  if (got < 0) return SystemError(errno, Quoted(path) + " cannot be read");
  file.text.resize(static_cast<size_t>(got));
  return file;
}

Result<ConfigFile> ReadConfigFile(const std::string& path) {
  return ReadOpened(OpenReal(path, O_RDONLY), path);
}

// In a directory that is included.
bool IsConfigName(const std::string& name) {
  return name.ends_with(".conf") && !name.starts_with('.');
}

// In order; none of what cannot be read.
std::set<std::string> NamesIn(os::UniqueFd directory) {
  std::set<std::string> names;
  os::DirectoryStream stream(std::move(directory));
  if (!stream.opened()) return names;
  (void)stream.ForEach("", [&names](const os::DirectoryEntry& entry) -> Status {
    names.insert(entry.name);
    return {};
  });
  return names;
}

// Of a cluster's directory in /etc: its settings, if nobody else can have put them there.
std::optional<std::vector<ConfigLine>> TrustedSettings(const std::string& directory, uid_t owner) {
  const os::UniqueFd place = OpenWithoutLinks(directory, O_PATH | O_DIRECTORY);
  struct stat info;
  if (!place || fstat(place.get(), &info) != 0 || !IsSafe(info, owner)) return {};
  const os::UniqueFd file = OpenReal(directory + "/" + kServerConfig, O_PATH);
  if (!file || fstat(file.get(), &info) != 0 || !IsSafe(info, owner)) return {};
  const Result<ConfigFile> config = ReadConfigFile(directory + "/" + kServerConfig);
  if (!config.ok()) return {};
  return ParseConfig(config->text);
}

void WarnOfInclude(Source& source, const std::string& path, const std::string& included) {
  source.warnings.push_back(
      Quoted(path) + " includes " + Quoted(included) +
      ", which is not imported: put a copy of that into the branch, and name it there without a "
      "directory");
}

void WarnOfMissing(Source& source, const std::string& path, const std::string& included) {
  source.warnings.push_back(Quoted(path) + " includes " + Quoted(included) +
                            ", which does not exist: `velapg start` leaves that line out");
}

// Without steps that lead nowhere, also at its begin, where Boost lets `.` be.
std::string Normal(const fs::path& path) {
  fs::path normal;
  for (const fs::path& step : path.lexically_normal()) {
    if (step != ".") normal /= step;
  }
  return normal.empty() ? "." : normal.string();
}

// What a file includes, as a path below the configuration's directory as the file's own is; nothing
// for what is elsewhere.
std::optional<std::string> PathBelow(const std::string& path, const std::string& included) {
  if (included.starts_with('/')) return {};
  std::string below = Normal(fs::path(path).parent_path() / included);
  if (below == ".." || below.starts_with("../")) return {};
  return below;
}

// Not with the rights of the process, as faccessat(2).
bool IsThere(const os::UniqueFd& directory, const std::string& path) {
  struct stat info;
  return fstatat(directory.get(), path.c_str(), &info, 0) == 0 || errno != ENOENT;
}

// Takes the files of one directory, which is `place`.
class Taker {
 public:
  Taker(Source& source, std::string directory, os::UniqueFd place)
      : source_(source), directory_(std::move(directory)), place_(std::move(place)) {}

  Status Run() {
    VELAFS_TRY(TakeServerConfig());
    VELAFS_TRY(TakeDirectory("conf.d"));
    for (const char* name : {"pg_hba.conf", "pg_ident.conf"}) {
      const Result<ConfigFile> file = Read(name);
      if (file.ok()) Put(name, *file);
    }
    source_.config_dir = directory_;
    std::string names;
    for (const std::string& name : taken_) names += (names.empty() ? "" : ", ") + name;
    source_.warnings.push_back("its configuration comes from " + Quoted(directory_) + ": " +
                               (names.empty() ? "nothing that it does not have itself" : names));
    return {};
  }

 private:
  Status TakeServerConfig() {
    if (source_.Find(0, kServerConfig) != 0) {
      source_.warnings.push_back("it has a postgresql.conf of its own, which is used, and not " +
                                 Quoted(directory_ + "/" + kServerConfig));
      return {};
    }
    return TakeFile(kServerConfig);
  }

  // Paths are below the directory.
  Result<ConfigFile> Read(const std::string& path) const {
    return ReadOpened(OpenBelow(place_.get(), path, O_RDONLY), directory_ + "/" + path);
  }

  // Whether a file or directory has not been seen yet.
  Result<bool> IsNew(const std::string& path) {
    const bool is_new = seen_.insert(path).second;
    if (seen_.size() <= kMaxFiles) return is_new;
    return Refused("the configuration in " + Quoted(directory_) +
                   " has more than 256 files and directories");
  }

  Status TakeFile(const std::string& path) {
    VELAFS_ASSIGN(const bool is_new, IsNew(path));
    if (!is_new) return {};
    VELAFS_ASSIGN(const ConfigFile file, Read(path));
    Put(path, file);
    return TakeIncludes(path, file.text);
  }

  // An empty one, too: it can be included.
  Status TakeDirectory(const std::string& path) {
    VELAFS_ASSIGN(const bool is_new, IsNew(path + "/"));
    if (!is_new) return {};
    os::UniqueFd directory = OpenBelow(place_.get(), path, os::kDirectoryFlags);
    if (directory) PutDirectory(path);
    for (const std::string& name : NamesIn(std::move(directory))) {
      if (!IsConfigName(name)) continue;
      VELAFS_TRY(TakeFile(Normal(fs::path(path) / name)));
    }
    return {};
  }

  Status TakeIncludes(const std::string& path, const std::string& text) {
    for (const ConfigLine& line : ParseConfig(text)) {
      if (!line.name.starts_with("include") || line.value.empty()) continue;
      const std::optional<std::string> below = PathBelow(path, line.value);
      const bool is_absolute = line.value.starts_with('/');
      const bool is_there = IsThere(
          place_, is_absolute ? line.value : (fs::path(path).parent_path() / line.value).string());
      if (line.name == "include_if_exists" && !is_there) continue;
      if (!below) {
        WarnOfInclude(source_, path, line.value);
      } else if (!is_there) {
        VELAFS_ASSIGN(const bool is_new, IsNew(*below));
        if (is_new) WarnOfMissing(source_, path, line.value);
      } else {
        VELAFS_TRY(line.name == "include_dir" ? TakeDirectory(*below) : TakeFile(*below));
      }
    }
    return {};
  }

  // Its entry; nothing when the source has something else there.
  std::optional<uint32_t> PutDirectory(const std::string& path) {
    uint32_t at = 0;
    for (const fs::path& step : fs::path(path)) {
      if (step == ".") continue;
      uint32_t next = source_.Find(at, step.string());
      if (next == 0) next = source_.AddDirectory(at, step.string());
      if (source_.entries[next].kind != SourceEntry::Kind::kDirectory) return {};
      at = next;
    }
    return at;
  }

  void Put(const std::string& path, const ConfigFile& file) {
    const std::optional<uint32_t> at = PutDirectory(fs::path(path).parent_path().string());
    if (!at) return;
    const std::string name = fs::path(path).filename().string();
    if (source_.Find(*at, name) != 0) return;
    source_.AddText(*at, name, file.text, file.mtime);
    taken_.push_back(path);
  }

  Source& source_;
  const std::string directory_;
  const os::UniqueFd place_;
  std::set<std::string> seen_;
  std::vector<std::string> taken_;
};

// Looks through the files that the source has itself.
class OwnIncludes {
 public:
  explicit OwnIncludes(Source& source) : source_(source) {}

  Status Follow(const std::string& path) {
    if (seen_.size() == kMaxFiles || !seen_.insert(path).second) return {};
    const uint32_t entry = EntryAt(path);
    const bool is_taken = source_.IsText(entry);  // whose includes were told when it was
    VELAFS_ASSIGN(const std::string text, source_.ReadText(entry));
    for (const ConfigLine& line : ParseConfig(text)) {
      if (!line.name.starts_with("include") || line.value.empty()) continue;
      const std::optional<std::string> below = PathBelow(path, line.value);
      if (below) {
        VELAFS_TRY(line.name == "include_dir" ? FollowDirectory(*below) : Follow(*below));
      } else if (!is_taken && IsRead(line)) {
        WarnOfInclude(source_, path, line.value);
      }
    }
    return {};
  }

 private:
  // Relative to a directory of the branch it leads to what nobody knows.
  static bool IsRead(const ConfigLine& line) {
    return line.name != "include_if_exists" || !line.value.starts_with('/') ||
           IsThere(os::UniqueFd(), line.value);
  }

  Status FollowDirectory(const std::string& path) {
    const uint32_t directory = EntryAt(path);
    std::set<std::string> names;
    for (uint32_t i = 1; directory != 0 && i < source_.entries.size(); ++i) {
      const SourceEntry& entry = source_.entries[i];
      if (entry.parent == directory && IsConfigName(entry.name)) names.insert(entry.name);
    }
    for (const std::string& name : names) VELAFS_TRY(Follow(*PathBelow(path + "/x", name)));
    return {};
  }

  // 0 when there is nothing.
  uint32_t EntryAt(const std::string& path) const {
    uint32_t at = 0;
    for (const fs::path& step : fs::path(path)) {
      if (step == ".") continue;
      at = source_.Find(at, step.string());
      if (at == 0) return 0;
    }
    return at;
  }

  Source& source_;
  std::set<std::string> seen_;
};

// Whether nobody but root and the one with whose rights it is read can have put links there.
bool IsOf(const struct stat& directory, const ConfigReader& reader) {
  if (!reader.is_owner) return true;  // whoever it belongs to, these are the caller's rights
  if (directory.st_uid == 0) return IsSafe(directory, 0);
  return directory.st_uid == reader.rights.uid;
}

Status TakeNamed(Source& source, const std::string& config_dir, const ConfigReader& reader) {
  os::UniqueFd place(open(config_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place && errno == ENOENT) return NotFound("there is no directory " + Quoted(config_dir));
  struct stat info;
  if (!place || fstat(place.get(), &info) != 0) {
    return SystemError(errno, Quoted(config_dir) + " cannot be read");
  }
  // Another directory may have come to be there since its owner was looked up.
  if (!IsOf(info, reader)) return Failed(Quoted(config_dir) + " changed while it was read");
  if (!IsThere(place, kServerConfig)) {
    return Refused(Quoted(config_dir) + " has no postgresql.conf",
                   "name the directory of the file that `show config_file` names");
  }
  boost::system::error_code error;
  const fs::path real = fs::canonical(config_dir, error);
  return Taker(source, error ? config_dir : real.string(), std::move(place)).Run();
}

// Of a failure to read what belongs to somebody, with his rights.
Status WithOwner(Status failure, const ConfigReader& reader) {
  const bool is_denied = failure.error_number() == EACCES || failure.error_number() == EPERM;
  if (!reader.is_owner || !is_denied || !failure.hint().empty()) return failure;
  return std::move(failure).WithHint("it is read with the rights of " +
                                     Quoted(UserName(reader.rights.uid)) +
                                     ", who owns the directory of the configuration");
}

}  // namespace

Status WarnOfIncludes(Source& source) { return OwnIncludes(source).Follow(kServerConfig); }

std::optional<DebianCluster> ClusterAt(const std::string& config_dir,
                                       const std::string& all_configs) {
  const fs::path path = config_dir;
  if (path.parent_path().parent_path() != all_configs) return {};
  return DebianCluster{path.parent_path().filename().string(), path.filename().string()};
}

std::optional<std::string> DebianConfigOf(const std::string& root, const std::string& all_configs) {
  struct stat data;
  struct stat version_file;
  const Result<ConfigFile> version_text = ReadConfigFile(root + "/PG_VERSION");
  if (!version_text.ok() || stat(root.c_str(), &data) != 0 ||
      stat((root + "/PG_VERSION").c_str(), &version_file) != 0) {
    return {};
  }
  const std::string version = version_text->text.substr(0, version_text->text.find('\n'));
  if (version.empty() || version.find_first_not_of("0123456789.") != std::string::npos) return {};
  const fs::path path = root;
  const bool is_named_so = path.parent_path().filename() == version;
  std::optional<std::string> with_its_name;
  const fs::path of_version = fs::path(all_configs) / version;
  for (const std::string& name : NamesIn(OpenReal(of_version.string(), os::kDirectoryFlags))) {
    const std::string directory = (of_version / name).string();
    const auto settings = TrustedSettings(directory, version_file.st_uid);
    if (!settings) continue;
    struct stat named;
    const std::string data_directory = ValueIn(*settings, "data_directory");
    if (stat(data_directory.c_str(), &named) == 0 && named.st_dev == data.st_dev &&
        named.st_ino == data.st_ino) {
      return directory;
    }
    if (is_named_so && path.filename() == name) with_its_name = directory;
  }
  return with_its_name;
}

Status AddConfiguration(Source& source, const std::string& config_dir, const ConfigReader& reader,
                        const std::string& all_configs) {
  VELAFS_ASSIGN(const os::ActingAs acting, os::ActingAs::Begin(reader.rights));
  if (!config_dir.empty()) {
    return WithOwner(TakeNamed(source, config_dir, reader), reader);
  }
  if (source.Find(0, kServerConfig) != 0) return {};
  if (!source.spool) {
    const auto found = DebianConfigOf(source.SourcePath(0), all_configs);
    if (found) {
      os::UniqueFd place = OpenWithoutLinks(*found, O_PATH | O_DIRECTORY);
      if (!place) return SystemError(errno, Quoted(*found) + " cannot be read");
      return Taker(source, *found, std::move(place)).Run();
    }
  }
  source.warnings.push_back(
      "it has no postgresql.conf: servers on the branch run with PostgreSQL's default settings "
      "(timezone, datestyle, search_path, preload libraries ...); --config-dir names the directory "
      "of its configuration");
  return {};
}

}  // namespace velafs::store
