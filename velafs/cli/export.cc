// `velafs export`: a branch as a plain PGDATA again, or as a tar archive.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem.hpp>
#include <cerrno>
#include <list>
#include <map>
#include <vector>

#include "velafs/base/text.h"
#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/compressor.h"
#include "velafs/cli/directory_target.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/output.h"
#include "velafs/cli/progress_bar.h"
#include "velafs/cli/unpack.h"
#include "velafs/os/unique_fd.h"

namespace velafs::cli {
namespace {

namespace fs = boost::filesystem;
using nlohmann::json;

struct ExportArguments {
  std::string source;
  std::string to_dir;
  std::string to_tar;                 // "-": standard output
  std::vector<std::string> mappings;  // OID=DIR
  bool keep_special = false;
};

Status SyncParent(const fs::path& path) {
  const os::UniqueFd fd(open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0)
    return SystemError(errno, "cannot make " + Quoted(path.string()) + " durable");
  return {};
}

class FileTarget {
 public:
  // Exists when there is a regular file; what is something else, a pipe or a tape, is written to.
  Status Prepare(const std::string& path) {
    if (path == "-") {
      if (isatty(STDOUT_FILENO) == 1) {
        return UsageError("standard output is a terminal", "name a file, or send it into a pipe");
      }
      fd_.Reset(dup(STDOUT_FILENO));
      return fd_ ? Status() : SystemError(errno, "cannot write to standard output");
    }
    path_ = fs::absolute(path).lexically_normal();
    struct stat info;
    const bool is_link = lstat(path_.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
    if (is_link && info.st_uid != 0 && info.st_uid != geteuid()) {
      return Refused(Quoted(path_.string()) + " is a link that another user made",
                     "name its target");
    }
    // A FIFO is waited for, but nothing else is written to whatever comes to be at the path.
    const bool is_new = stat(path_.c_str(), &info) != 0;
    if (!is_new) VELAFS_TRY(CheckIsNoFile(info));
    if (is_new) partial_ = path_.string() + ".partial-" + std::to_string(getpid());
    const std::string opened = is_new ? partial_ : path_.string();
    fd_.Reset(open(opened.c_str(), O_WRONLY | O_CLOEXEC | (is_new ? O_CREAT | O_EXCL : 0), 0600));
    if (fd_ && is_new) return {};
    if (fd_ && fstat(fd_.get(), &info) == 0) return CheckIsNoFile(info);
    const int error = errno;
    partial_.clear();
    return SystemError(error, "cannot open " + Quoted(opened));
  }
  ~FileTarget() {
    if (!partial_.empty()) unlink(partial_.c_str());
  }
  Status Write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      // Also after a signal that came when a part was written.
      if (Interrupted()) return Failed("interrupted");
      const ssize_t written = write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return SystemError(errno, "cannot write the archive");
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return {};
  }
  Status Publish() {
    if (partial_.empty()) return {};
    if (fsync(fd_.get()) != 0 || rename(partial_.c_str(), path_.c_str()) != 0) {
      return SystemError(errno, "cannot finish " + Quoted(path_.string()));
    }
    partial_.clear();
    return SyncParent(path_);
  }
  std::string path() const { return path_.string(); }

 private:
  Status CheckIsNoFile(const struct stat& info) const {
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return {};
    return Exists(Quoted(path_.string()) + " exists", "name a file that is not there yet");
  }

  fs::path path_;
  std::string partial_;  // its name until it is complete; empty when there is none
  os::UniqueFd fd_;
};

Result<json> Receive(const Globals& globals, Client& client, const ExportArguments& given,
                     const WriteFn& out) {
  CatchInterrupts();
  ProgressBar bar(!globals.quiet);
  const auto on_progress = [&bar](const json& event) {
    bar.Update(event.value("bytes_done", uint64_t{0}), event.value("bytes_total", uint64_t{0}));
    return !Interrupted();
  };
  const Streams streams{.out = [&out](std::span<const std::byte> bytes) -> Status {
    return Interrupted() ? Failed("interrupted") : out(bytes);
  }};
  Result<json> result =
      client.Call("export", {{"source", given.source}, {"keep_special", given.keep_special}},
                  on_progress, streams);
  if (!result.ok() && Interrupted()) return Failed("interrupted");
  return result;
}

// The directories that tablespaces go to, by OID.
using Mapping = std::map<std::string, std::string>;

Result<Mapping> ParseMappings(const std::vector<std::string>& texts) {
  Mapping mapping;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    const std::string oid = text.substr(0, equals);
    const bool is_oid = !oid.empty() && oid.find_first_not_of("0123456789") == std::string::npos;
    const std::string directory = equals == std::string::npos ? "" : text.substr(equals + 1);
    if (!is_oid || !directory.starts_with('/')) {
      return UsageError("--tablespace-mapping " + Quoted(text) + " is not OID=DIR",
                        "DIR is an absolute path; velafs tablespaces BRANCH lists the OIDs");
    }
    if (!mapping.emplace(oid, directory).second) {
      return UsageError("tablespace " + oid + " is mapped twice");
    }
  }
  return mapping;
}

// The directories besides the main one that an export fills.
class TablespaceTargets {
 public:
  Status Prepare(const Mapping& mapping) {
    for (const auto& [oid, directory] : mapping) {
      DirectoryTarget& target = targets_.emplace_back();
      VELAFS_TRY(target.Prepare(directory));
      elsewhere_["pg_tblspc/" + oid] = {target.work_fd(), target.path()};
    }
    return {};
  }
  const ElsewhereByPath& elsewhere() const { return elsewhere_; }
  // `found` is what the export had of them.
  Status Publish(const std::set<std::string>& found) {
    for (const auto& [path, to] : elsewhere_) {
      if (!found.contains(path)) {
        return NotFound("it has no tablespace " + path.substr(path.rfind('/') + 1),
                        "velafs tablespaces BRANCH lists what it has");
      }
    }
    for (DirectoryTarget& target : targets_) VELAFS_TRY(target.Publish());
    return {};
  }

 private:
  std::list<DirectoryTarget> targets_;  // none is ever moved
  ElsewhereByPath elsewhere_;
};

Result<json> ToDirectory(const Globals& globals, const ExportArguments& given) {
  VELAFS_ASSIGN(const Mapping mapping, ParseMappings(given.mappings));
  VELAFS_ASSIGN(const auto client, globals.Connect());
  // Found before this process's working directory changes.
  TablespaceTargets tablespaces;
  VELAFS_TRY(tablespaces.Prepare(mapping));
  DirectoryTarget target;
  VELAFS_TRY(target.Prepare(given.to_dir));
  if (fchdir(target.work_fd()) != 0) {
    return SystemError(errno, "cannot change to a directory in " + Quoted(target.path()));
  }
  Unpacker unpacker(tablespaces.elsewhere());
  Result<json> result =
      Receive(globals, *client, given,
              [&unpacker](std::span<const std::byte> bytes) { return unpacker.Write(bytes); });
  // Where making the files fails, that failure says more than the verb's.
  VELAFS_TRY(unpacker.Finish(result.status()));
  VELAFS_TRY(result.status());
  VELAFS_TRY(tablespaces.Publish(unpacker.found()));
  VELAFS_TRY(target.Publish());
  (*result)["path"] = target.path();
  return result;
}

Result<json> ToTar(const Globals& globals, const ExportArguments& given) {
  VELAFS_ASSIGN(const std::string compression, CompressionFor(given.to_tar));
  VELAFS_ASSIGN(const auto client, globals.Connect());
  FileTarget target;
  VELAFS_TRY(target.Prepare(given.to_tar));
  Compressor compressor(
      compression, [&target](std::span<const std::byte> bytes) { return target.Write(bytes); });
  VELAFS_TRY(compressor.Open());
  VELAFS_ASSIGN(json result,
                Receive(globals, *client, given, [&compressor](std::span<const std::byte> bytes) {
                  return compressor.Write(bytes);
                }));
  VELAFS_TRY(compressor.Finish());
  VELAFS_TRY(target.Publish());
  result["compression"] = compression.empty() ? json() : json(compression);
  result["path"] = target.path();
  return result;
}

Status RunExport(const Globals& globals, const ExportArguments& given) {
  const bool to_stdout = given.to_tar == "-";
  if (to_stdout && globals.json) {
    return UsageError("--json and --to-tar - both want standard output",
                      "name a file, or leave out --json");
  }
  const bool to_directory = !given.to_dir.empty();
  const std::string where = to_directory ? given.to_dir : given.to_tar;
  Result<json> result = to_directory ? ToDirectory(globals, given) : ToTar(globals, given);
  if (!result.ok()) {
    Status failure = std::move(result).status();
    if (failure.message().starts_with("cannot export")) return failure;
    return std::move(failure).WithContext("cannot export " + Quoted(given.source) + " to " +
                                          Quoted(where));
  }
  if (const uint64_t count = result->value("special_left_out", uint64_t{0}); count > 0) {
    WriteNotice("warning: setuid and setgid bits and devices of " + std::to_string(count) +
                " files were left out; --keep-special writes them");
  }
  if (const uint64_t count = result->value("sockets_left_out", uint64_t{0}); count > 0) {
    WriteNotice("warning: " + std::to_string(count) +
                " sockets and FIFOs were left out, as pg_basebackup does");
  }
  if (to_stdout) return {};
  return PrintConfirmation(globals, *result,
                           "exported " + Quoted(given.source) + " to " +
                               Quoted((*result)["path"].get<std::string>()) + ": " +
                               (*result)["files"].dump() + " files, " +
                               FormatSize((*result)["bytes"].get<uint64_t>()));
}

}  // namespace

void AddExport(CommandLine& line) {
  CLI::App* command = line.Add("export", "Write a branch or a bookmark out as a plain PGDATA",
                               "velafs export pr-42 --to-dir /srv/pgdata\n"
                               "  velafs export main@monday --to-tar - | zstd >monday.tar.zst\n"
                               "  velafs export pr-42 --to-dir /srv/pgdata "
                               "--tablespace-mapping 16400=/srv/fast");
  const auto given = std::make_shared<ExportArguments>();
  command->add_option("SOURCE", given->source, "Branch, in use or not, or bookmark BRANCH@NAME")
      ->required()
      ->type_name("");
  CLI::Option_group* target = command->add_option_group("target");
  target->add_option("--to-dir", given->to_dir, "Directory, empty or not there yet")
      ->type_name("DIR");
  target
      ->add_option("--to-tar", given->to_tar,
                   "Archive, compressed if it ends with .zst, .gz, .xz or .lz4; or - for standard "
                   "output")
      ->type_name("FILE");
  target->require_option(1);
  command
      ->add_option(
          "--tablespace-mapping", given->mappings,
          "Write this tablespace to DIR, absolute, empty or not there yet, and a link to it "
          "in pg_tblspc, as pg_basebackup does; repeatable. Without it a tablespace is a "
          "directory in pg_tblspc")
      ->type_name("OID=DIR")
      ->excludes("--to-tar");
  command->add_flag("--keep-special", given->keep_special,
                    "Write setuid and setgid bits of files, and devices, too: whoever could write "
                    "to the branch may have made them");
  line.OnRun(command, [given](const Globals& globals) { return RunExport(globals, *given); });
}

}  // namespace velafs::cli
