#include "pgctl-wrapper/server/cluster_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <span>

#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

using std::string;

constexpr char kConfigs[] = "/etc/postgresql";
constexpr char kLinks[] = "/var/lib/postgresql";
constexpr char kUnits[] = "/etc/systemd/system";
constexpr char kDropIn[] = "velafs.conf";
constexpr uint64_t kMostFileBytes = 1 << 20;
// What may be in a cluster's directory; postgresql.conf, which makes it a cluster, goes last.
constexpr const char* kFiles[] = {"log", "environment", "start.conf", "pg_ctl.conf",
                                  "postgresql.conf"};

string UnitOf(const Registration& it) {
  return "postgresql@" + it.version + "-" + it.cluster + ".service";
}
string ConfigPlace(const Registration& it) {
  return string(kConfigs) + "/" + it.version + "/" + it.cluster;
}
string LinkPlace(const Registration& it) { return string(kLinks) + "/" + it.version; }
string UnitPlace(const Registration& it) { return string(kUnits) + "/" + UnitOf(it) + ".d"; }

Status CannotMake(const string& path) { return SystemError(errno, "cannot make \"" + path + "\""); }

// A directory that is reached through no link: /etc/postgresql/V and /var/lib/postgresql/V may be
// postgres's, who is not to say where root writes. `makes_it`: with those on its way.
Result<UniqueFd> OpenDirectory(const string& path, bool makes_it) {
  UniqueFd at(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const std::filesystem::path& part : std::filesystem::path(path).relative_path()) {
    if (makes_it && mkdirat(at.get(), part.c_str(), 0755) != 0 && errno != EEXIST) {
      return CannotMake(path);
    }
    at.Reset(openat(at.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!at) return SystemError(errno, "cannot open \"" + path + "\"");
  }
  return at;
}

Status WriteFile(const UniqueFd& directory, const string& name, const string& text) {
  const string fresh = name + ".new";
  if (unlinkat(directory.get(), fresh.c_str(), 0) != 0 && errno != ENOENT) return CannotMake(name);
  const UniqueFd file(openat(directory.get(), fresh.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (file && fchmod(file.get(), 0644) == 0 &&
      write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      renameat(directory.get(), fresh.c_str(), directory.get(), name.c_str()) == 0) {
    return {};
  }
  return CannotMake(name);
}

// Empty if it is no link.
string LinkTarget(const UniqueFd& directory, const string& name) {
  string target(PATH_MAX, '\0');
  const ssize_t length = readlinkat(directory.get(), name.c_str(), target.data(), target.size());
  target.resize(static_cast<size_t>(std::max<ssize_t>(length, 0)));
  return target;
}

// A link that leads there, in the place of another link, or of none.
Status MakeLink(const string& target, const UniqueFd& directory, const string& name) {
  const string old = LinkTarget(directory, name);
  if (old == target) return {};
  if (!old.empty() && unlinkat(directory.get(), name.c_str(), 0) != 0) return CannotMake(name);
  if (symlinkat(target.c_str(), directory.get(), name.c_str()) == 0) return {};
  return CannotMake(name);
}

// The registration whose files are in a directory; nothing of another cluster.
std::optional<Registration> ReadCluster(const string& directory) {
  const auto text = ReadForeignFile(directory + "/postgresql.conf", kMostFileBytes);
  if (!text.ok()) return std::nullopt;
  std::optional<Registration> found = ParseClusterConfig(*text);
  if (found) {
    found->cluster = std::filesystem::path(directory).filename();
    found->version = std::filesystem::path(directory).parent_path().filename();
  }
  return found;
}

std::vector<string> PathsIn(const string& directory) {
  std::vector<string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    paths.push_back(entry->path());
  }
  return paths;
}

// Drop-ins whose cluster pg_dropcluster has removed.
std::vector<Registration> FindLeftUnits(const string& store, const string& branch) {
  const string begin = "postgresql@";
  const string end = ".service.d";
  std::vector<Registration> found;
  for (const string& path : PathsIn(kUnits)) {
    const string name = std::filesystem::path(path).filename();
    const size_t dash = name.find('-');
    if (!name.starts_with(begin) || !name.ends_with(end) || dash == string::npos) continue;
    const auto text = ReadForeignFile(path + "/" + kDropIn, kMostFileBytes);
    const string command = " --store " + store + " --quiet start " + branch + " --foreground";
    if (!text.ok() || text->find(command) == string::npos) continue;
    Registration left;
    left.store = store;
    left.branch = branch;
    left.version = name.substr(begin.size(), dash - begin.size());
    left.cluster = name.substr(dash + 1, name.size() - end.size() - dash - 1);
    found.push_back(left);
  }
  return found;
}

Status RemoveFile(const UniqueFd& directory, const string& name) {
  if (unlinkat(directory.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  return SystemError(errno, "cannot remove \"" + name + "\"");
}

// Of what is below a directory: some names, or nothing if it is not there.
Status RemoveFiles(const string& path, std::span<const char* const> names) {
  const Result<UniqueFd> directory = OpenDirectory(path, /*makes_it=*/false);
  if (directory.status().error_number() == ENOENT) return {};
  VELAFS_TRY(directory.status());
  for (const char* const name : names) VELAFS_TRY(RemoveFile(*directory, name));
  return {};
}

// `name` if it is a link.
Status RemoveLink(const string& path, const string& name) {
  const Result<UniqueFd> directory = OpenDirectory(path, /*makes_it=*/false);
  if (directory.status().error_number() == ENOENT) return {};
  VELAFS_TRY(directory.status());
  return LinkTarget(*directory, name).empty() ? Status() : RemoveFile(*directory, name);
}

}  // namespace

string ClusterLink(const string& version, const string& cluster) {
  return string(kLinks) + "/" + version + "/" + cluster;
}

std::vector<Registration> FindClusters(const string& store, const string& branch) {
  std::vector<Registration> found;
  for (const string& version : PathsIn(kConfigs)) {
    for (const string& directory : PathsIn(version)) {
      const auto cluster = ReadCluster(directory);
      if (cluster && cluster->store == store && cluster->branch == branch) {
        found.push_back(*cluster);
      }
    }
  }
  return found.empty() ? FindLeftUnits(store, branch) : found;
}

Status CheckClusterFree(const Registration& it) {
  const string place = ConfigPlace(it);
  struct stat info {};
  const bool is_there = lstat(place.c_str(), &info) == 0;
  const auto found = ReadCluster(place);
  const bool is_ours = found && found->store == it.store && found->branch == it.branch;
  if (is_there && !is_ours) {
    return Exists("there is a cluster " + it.version + " " + it.cluster,
                  "choose another name with --cluster NAME");
  }
  const string link = ClusterLink(it.version, it.cluster);
  std::error_code error;
  if (lstat(link.c_str(), &info) != 0 || std::filesystem::read_symlink(link, error) == it.data_dir)
    return {};
  if (is_ours && S_ISLNK(info.st_mode)) return {};
  return Exists("\"" + link + "\" exists and does not belong to this branch",
                "choose another name with --cluster NAME");
}

Status MakeCluster(const Registration& it) {
  VELAFS_TRY(CheckClusterFree(it));
  VELAFS_ASSIGN(const UniqueFd links, OpenDirectory(LinkPlace(it), /*makes_it=*/true));
  VELAFS_TRY(MakeLink(it.data_dir, links, it.cluster));
  VELAFS_ASSIGN(const UniqueFd unit, OpenDirectory(UnitPlace(it), /*makes_it=*/true));
  VELAFS_TRY(WriteFile(unit, kDropIn, ClusterUnit(it)));
  VELAFS_ASSIGN(const UniqueFd config, OpenDirectory(ConfigPlace(it), /*makes_it=*/true));
  VELAFS_TRY(WriteFile(config, "start.conf", "manual\n"));
  VELAFS_TRY(WriteFile(config, "environment", "PATH = '/usr/sbin:/usr/bin:/sbin:/bin'\n"));
  VELAFS_TRY(WriteFile(config, "pg_ctl.conf", ClusterControl(it)));
  VELAFS_TRY(MakeLink(it.log, config, "log"));
  return WriteFile(config, "postgresql.conf", ClusterConfig(it));
}

Status CheckClusterStopped(const Registration& it) {
  if (access("/run/systemd/system", F_OK) != 0) return {};
  Command ask;
  ask.argv = {"systemctl", "is-active", "--quiet", UnitOf(it)};
  VELAFS_ASSIGN(const Captured captured, Capture(std::move(ask)));
  if (captured.exit_status != 0) return {};
  return Refused("service " + UnitOf(it) + " is active",
                 "stop it first: systemctl stop " + UnitOf(it));
}

Status RemoveCluster(const Registration& it) {
  VELAFS_TRY(RemoveLink(LinkPlace(it), it.cluster));
  const string place = ConfigPlace(it);
  if (ReadCluster(place)) {
    VELAFS_TRY(RemoveFiles(place, kFiles));
    rmdir(place.c_str());
  }
  const char* const drop_ins[] = {kDropIn};
  VELAFS_TRY(RemoveFiles(UnitPlace(it), drop_ins));
  rmdir(UnitPlace(it).c_str());  // an administrator may have more there
  rmdir((string(kConfigs) + "/" + it.version).c_str());
  rmdir(LinkPlace(it).c_str());
  return {};
}

}  // namespace velafs::pgctl
