// `velafs import`: a source branch out of an existing PGDATA.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <vector>

#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/output.h"
#include "velafs/cli/progress_bar.h"
#include "velafs/cli/unpack.h"
#include "velafs/os/unique_fd.h"

namespace velafs::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct ImportArguments {
  std::string name;
  std::string from_dir;
  std::string from_tar;  // "-": standard input
};

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

// What an archive holds, for as long as it is wanted: in $TMPDIR, or /var/tmp.
class UnpackedTar {
 public:
  ~UnpackedTar() {
    if (directory_.empty()) return;
    std::error_code error;
    fs::current_path("/", error);
    fs::remove_all(directory_, error);
  }

  Status Unpack(const std::string& tar, bool quiet) {
    VELAFS_TRY(Open(tar));
    VELAFS_TRY(MakeDirectory());
    Unpacker unpacker(directory_, Archive::kForeign);
    VELAFS_TRY(unpacker.Finish(Feed(unpacker, quiet)));
    return GiveTopAnOwner();
  }
  // Archives are made of a directory's content, or of the directory.
  std::string DataDirectory() const {
    std::error_code error;
    if (fs::exists(directory_ + "/PG_VERSION", error)) return directory_;
    const std::vector<fs::path> entries(fs::directory_iterator(directory_, error), {});
    return entries.size() == 1 && fs::is_directory(entries[0], error) ? entries[0].string()
                                                                      : directory_;
  }

 private:
  Status Open(const std::string& tar) {
    fd_.Reset(tar == "-" ? dup(STDIN_FILENO) : open(tar.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd_) return SystemError(errno, "cannot read " + Quoted(tar));
    struct stat info {};
    if (fstat(fd_.get(), &info) == 0 && S_ISREG(info.st_mode)) {
      bytes_total_ = static_cast<uint64_t>(info.st_size);
    }
    return {};
  }

  Status MakeDirectory() {
    const char* temporary = std::getenv("TMPDIR");
    const bool is_set = temporary != nullptr && *temporary != '\0';
    std::string path = fs::absolute(is_set ? temporary : "/var/tmp") / "velafs-import-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) return SystemError(errno, "cannot make " + Quoted(path));
    directory_ = path;
    if (chdir(path.c_str()) == 0) return {};
    return SystemError(errno, "cannot change to " + Quoted(path));
  }

  // pg_basebackup leaves the top directory out of its archives.
  Status GiveTopAnOwner() {
    struct stat top {};
    struct stat version {};
    if (stat(directory_.c_str(), &top) != 0 || top.st_uid != geteuid()) return {};
    if (lstat((directory_ + "/PG_VERSION").c_str(), &version) != 0) return {};
    if (version.st_uid == top.st_uid) return {};
    if (chown(directory_.c_str(), version.st_uid, version.st_gid) == 0) return {};
    return SystemError(errno, "cannot give " + Quoted(directory_) + " another owner");
  }

  Status Feed(Unpacker& unpacker, bool quiet) {
    ProgressBar bar(!quiet && bytes_total_ > 0);
    std::vector<std::byte> buffer(1024 * 1024);
    uint64_t bytes_done = 0;
    for (;;) {
      if (Interrupted()) return Failed("interrupted");
      const ssize_t count = read(fd_.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return SystemError(errno, "cannot read the archive");
      if (count == 0) return {};
      VELAFS_TRY(unpacker.Take(std::span(buffer).first(static_cast<size_t>(count))));
      bytes_done += static_cast<uint64_t>(count);
      bar.Update(bytes_done, bytes_total_);
    }
  }

  std::string directory_;
  os::UniqueFd fd_;
  uint64_t bytes_total_ = 0;  // 0: not known
};

std::string RenderImported(const json& branch) {
  return "imported \"" + branch["name"].get<std::string>() + "\": " + branch["files"].dump() +
         " files, " + FormatSize(branch["logical_bytes"].get<uint64_t>()) + ", stored in " +
         FormatSize(branch["bytes_stored"].get<uint64_t>());
}

Status RunImport(const Globals& globals, const ImportArguments& given) {
  // The daemon's working directory is not ours.
  std::error_code error;
  std::string from_dir = fs::absolute(given.from_dir, error).string();
  CatchInterrupts();
  UnpackedTar tar;
  if (!given.from_tar.empty()) {
    VELAFS_TRY(globals.Connect().status());  // before there is work to lose
    VELAFS_TRY(tar.Unpack(given.from_tar, globals.quiet)
                   .WithContext("cannot import " + Quoted(given.name) + " from " +
                                Quoted(given.from_tar)));
    from_dir = tar.DataDirectory();
  }
  VELAFS_ASSIGN(const auto client, globals.Connect());
  Result<json> branch = [&] {
    ProgressBar bar(!globals.quiet);
    const auto on_progress = [&bar](const json& event) {
      bar.Update(event.value("bytes_done", uint64_t{0}), event.value("bytes_total", uint64_t{0}));
      return !Interrupted();
    };
    return client->Call("import", {{"name", given.name}, {"from_dir", from_dir}}, on_progress);
  }();
  VELAFS_TRY(branch.status());
  for (const json& warning : (*branch)["warnings"]) {
    WriteNotice("warning: " + warning.get<std::string>());
  }
  return PrintConfirmation(globals, *branch, RenderImported(*branch));
}

}  // namespace

void AddImport(CommandLine& line) {
  CLI::App* command = line.Add("import", "Make a source branch out of a PGDATA",
                               "velafs import main --from-dir /var/lib/postgresql/15/main\n"
                               "  zstdcat monday.tar.zst | velafs import monday --from-tar -");
  const auto given = std::make_shared<ImportArguments>();
  command->add_option("NAME", given->name, "Name of the new branch")->required()->type_name("");
  CLI::Option_group* source = command->add_option_group("source");
  source->add_option("--from-dir", given->from_dir, "PGDATA of a server that does not run")
      ->type_name("DIR")
      ->check(NotEmpty());
  source
      ->add_option("--from-tar", given->from_tar,
                   "Archive of one, compressed or not, or - for standard input; it is unpacked in "
                   "$TMPDIR (default: /var/tmp) first")
      ->type_name("FILE")
      ->check(NotEmpty());
  source->require_option(1);
  line.OnRun(command, [given](const Globals& globals) { return RunImport(globals, *given); });
}

}  // namespace velafs::cli
