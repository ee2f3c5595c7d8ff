// `velafs import`: a source branch out of an existing PGDATA.
#include <filesystem>

#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/output.h"
#include "velafs/cli/progress_bar.h"
#include "velafs/cli/unpacked_tar.h"

namespace velafs::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct ImportArguments {
  std::string name;
  std::string from_dir;
  std::string from_tar;  // "-": standard input; a directory: the tars of a base backup
};

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

std::string RenderImported(const json& branch) {
  return "imported \"" + branch["name"].get<std::string>() + "\": " + branch["files"].dump() +
         " files, " + FormatSize(branch["logical_bytes"].get<uint64_t>()) + ", stored in " +
         FormatSize(branch["bytes_stored"].get<uint64_t>());
}

// With the archive's name in the place of the directory it was unpacked in, which is gone by then.
Status NameArchive(const Status& failure, const std::string& directory, const std::string& tar) {
  const std::string quoted = Quoted(directory);
  std::string message = failure.message();
  if (const size_t at = message.find(quoted); at != std::string::npos) {
    message.replace(at, quoted.size(), Quoted(tar));
  }
  return Status(failure.code(), failure.error_number(), message, failure.hint());
}

Status RunImport(const Globals& globals, const ImportArguments& given) {
  // The daemon's working directory is not ours.
  std::error_code error;
  std::string from_dir = fs::absolute(given.from_dir, error).string();
  CatchInterrupts();
  UnpackedTar tar(globals.quiet);
  if (!given.from_tar.empty()) {
    VELAFS_TRY(globals.Connect().status());  // before there is work to lose
    VELAFS_TRY(tar.Unpack(given.from_tar)
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
  if (!branch.ok() && !given.from_tar.empty()) {
    return NameArchive(branch.status(), from_dir, given.from_tar);
  }
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
                   "Archive of one, compressed or not, or - for standard input; of a base backup, "
                   "base.tar or the directory it is in: OID.tar and pg_wal.tar beside it are taken "
                   "too. All is unpacked in $TMPDIR (default: /var/tmp) first, in a directory "
                   "velafs-import-*, which only an import that is killed leaves behind")
      ->type_name("FILE")
      ->check(NotEmpty());
  source->require_option(1);
  line.OnRun(command, [given](const Globals& globals) { return RunImport(globals, *given); });
}

}  // namespace velafs::cli
