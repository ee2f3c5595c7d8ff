#include "pgctl-wrapper/cluster_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "pgctl-wrapper/process.h"
#include "pgctl-wrapper/text_file.h"

namespace velafs::pgctl {
namespace {

namespace fs = std::filesystem;
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
string UnitPlace(const Registration& it) { return string(kUnits) + "/" + UnitOf(it) + ".d"; }

Status CannotMake(const string& path) { return SystemError(errno, "cannot make \"" + path + "\""); }

// A directory, those on its way included, each opened through no link.
Result<UniqueFd> MakeDirectories(const string& path) {
  UniqueFd at(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const fs::path& part : fs::path(path).relative_path()) {
    if (mkdirat(at.get(), part.c_str(), 0755) != 0 && errno != EEXIST) return CannotMake(path);
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

string LinkTarget(const string& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  return error ? "" : target.string();
}

// A link that leads there, in the place of one of ours, or of none.
Status MakeLink(const string& target, const string& path) {
  if (LinkTarget(path) == target) return {};
  if (!LinkTarget(path).empty() && unlink(path.c_str()) != 0) return CannotMake(path);
  if (symlink(target.c_str(), path.c_str()) == 0) return {};
  return CannotMake(path);
}

// The registration whose files are in a directory; nothing of another cluster.
std::optional<Registration> ReadCluster(const string& directory) {
  const auto text = ReadForeignFile(directory + "/postgresql.conf", kMostFileBytes);
  if (!text.ok()) return std::nullopt;
  std::optional<Registration> found = ParseClusterConfig(*text);
  if (found) {
    found->cluster = fs::path(directory).filename();
    found->version = fs::path(directory).parent_path().filename();
  }
  return found;
}

std::vector<string> EntriesOf(const string& directory) {
  std::vector<string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
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
  for (const string& path : EntriesOf(kUnits)) {
    const string name = fs::path(path).filename();
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

Status RemoveFile(const string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
  return SystemError(errno, "cannot remove \"" + path + "\"");
}

}  // namespace

string ClusterLink(const string& version, const string& cluster) {
  return string(kLinks) + "/" + version + "/" + cluster;
}

std::vector<Registration> FindClusters(const string& store, const string& branch) {
  std::vector<Registration> found;
  for (const string& version : EntriesOf(kConfigs)) {
    for (const string& directory : EntriesOf(version)) {
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
  if (lstat(link.c_str(), &info) != 0 || LinkTarget(link) == it.data_dir) return {};
  if (is_ours && S_ISLNK(info.st_mode)) return {};
  return Exists("\"" + link + "\" is there, and not of this branch",
                "choose another name with --cluster NAME");
}

Status MakeCluster(const Registration& it) {
  VELAFS_TRY(CheckClusterFree(it));
  VELAFS_TRY(MakeDirectories(string(kLinks) + "/" + it.version).status());
  VELAFS_TRY(MakeLink(it.data_dir, ClusterLink(it.version, it.cluster)));
  VELAFS_ASSIGN(const UniqueFd unit, MakeDirectories(UnitPlace(it)));
  VELAFS_TRY(WriteFile(unit, kDropIn, ClusterUnit(it)));
  const string place = ConfigPlace(it);
  VELAFS_ASSIGN(const UniqueFd config, MakeDirectories(place));
  VELAFS_TRY(WriteFile(config, "start.conf", "manual\n"));
  VELAFS_TRY(WriteFile(config, "environment", "PATH = '/usr/sbin:/usr/bin:/sbin:/bin'\n"));
  VELAFS_TRY(WriteFile(config, "pg_ctl.conf", ClusterControl(it)));
  VELAFS_TRY(MakeLink(it.log, place + "/log"));
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
  const string link = ClusterLink(it.version, it.cluster);
  if (!LinkTarget(link).empty()) VELAFS_TRY(RemoveFile(link));
  const string place = ConfigPlace(it);
  if (ReadCluster(place)) {
    for (const char* name : kFiles) VELAFS_TRY(RemoveFile(place + "/" + name));
    rmdir(place.c_str());
  }
  VELAFS_TRY(RemoveFile(UnitPlace(it) + "/" + kDropIn));
  rmdir(UnitPlace(it).c_str());  // an administrator may have more there
  rmdir((string(kConfigs) + "/" + it.version).c_str());
  rmdir((string(kLinks) + "/" + it.version).c_str());
  return {};
}

}  // namespace velafs::pgctl
