// `velafs import`: a source branch out of an existing PGDATA.
#include <filesystem>
#include <span>

#include "velafs/base/text.h"
#include "velafs/base/units.h"
#include "velafs/cli/archive_process.h"
#include "velafs/cli/command.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/output.h"
#include "velafs/cli/progress_bar.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct ImportArguments {
  std::string name;
  std::string from_dir;
  std::string read_as;   // a user; empty: whoever owns the directory, for root
  std::string from_tar;  // "-": standard input; a directory: the tars of a base backup
  std::string config_dir;
  std::string links;
  bool allow_missing_wal = false;
};

std::string RenderImported(const json& branch) {
  return "imported \"" + branch["name"].get<std::string>() + "\": " + branch["files"].dump() +
         " files, " + FormatSize(branch["logical_bytes"].get<uint64_t>()) + ", stored in " +
         FormatSize(branch["bytes_stored"].get<uint64_t>()) +
         "; it is protected (velafs unprotect " + branch["name"].get<std::string>() + ")";
}

// The daemon's working directory is not ours.
std::string Absolute(const std::string& path) {
  std::error_code error;
  return std::filesystem::absolute(path, error).string();
}

// The arguments that both kinds of import share.
json ArgumentsOf(const ImportArguments& given) {
  json arguments = {{"name", given.name}};
  if (!given.config_dir.empty()) arguments["config_dir"] = Absolute(given.config_dir);
  if (!given.links.empty()) arguments["links"] = given.links;
  if (given.allow_missing_wal) arguments["allow_missing_wal"] = true;
  return arguments;
}

Result<json> ImportDirectory(const Globals& globals, const ImportArguments& given) {
  CatchInterrupts();
  VELAFS_ASSIGN(const auto client, globals.Connect());
  ProgressBar bar(!globals.quiet);
  const auto on_progress = [&bar](const json& event) {
    bar.Update(event.value("bytes_done", uint64_t{0}), event.value("bytes_total", uint64_t{0}));
    return !Interrupted();
  };
  json arguments = ArgumentsOf(given);
  arguments["from_dir"] = Absolute(given.from_dir);
  if (!given.read_as.empty()) arguments["read_as"] = given.read_as;
  return client->Call("import", arguments, on_progress);
}

Result<json> ImportArchive(const Globals& globals, const ImportArguments& given) {
  ArchiveProcess archive;
  VELAFS_TRY(
      archive.Start(given.from_tar)
          .WithContext("cannot import " + Quoted(given.from_tar) + " as " + Quoted(given.name)));
  CatchInterrupts();
  VELAFS_ASSIGN(const auto client, globals.Connect());
  ProgressBar bar(!globals.quiet && archive.bytes_total() > 0);
  const auto on_progress = [&](const json&) {
    bar.Update(archive.bytes_read(), archive.bytes_total());
    return !Interrupted();
  };
  const Streams streams{.in = [&archive](std::span<std::byte> into) { return archive.Read(into); },
                        .stop_in = [&archive] { archive.Stop(); }};
  json arguments = ArgumentsOf(given);
  arguments["from_archive"] = given.from_tar;
  return client->Call("import", arguments, on_progress, streams);
}

Status RunImport(const Globals& globals, const ImportArguments& given) {
  const bool is_archive = !given.from_tar.empty();
  VELAFS_ASSIGN(const json branch,
                is_archive ? ImportArchive(globals, given) : ImportDirectory(globals, given));
  for (const json& warning : branch["warnings"]) {
    WriteNotice("warning: " + warning.get<std::string>());
  }
  return PrintConfirmation(globals, branch, RenderImported(branch));
}

}  // namespace

void AddImport(CommandLine& line) {
  CLI::App* command = line.Add("import", "Make a source branch from a PGDATA",
                               "velafs import main --from-dir /var/lib/postgresql/15/main\n"
                               "  zstdcat monday.tar.zst | velafs import monday --from-tar -");
  const auto given = std::make_shared<ImportArguments>();
  command->add_option("NAME", given->name, "Name of the new branch")->required()->type_name("");
  CLI::Option_group* source = command->add_option_group("source");
  source->add_option("--from-dir", given->from_dir, "PGDATA of a stopped server")
      ->type_name("DIR")
      ->check(NotEmpty());
  source
      ->add_option("--from-tar", given->from_tar,
                   "Archive of a PGDATA, compressed or not, or - for standard input. For a base "
                   "backup, base.tar or its directory: OID.tar and pg_wal.tar beside it are "
                   "imported, too. An archive is unpacked into the store only")
      ->type_name("FILE")
      ->check(NotEmpty());
  source->require_option(1);
  command
      ->add_option(
          "--config-dir", given->config_dir,
          "Where postgresql.conf, conf.d, pg_hba.conf and pg_ident.conf are, when they are "
          "not in the PGDATA (default: the directory in /etc/postgresql that names it)")
      ->type_name("DIR")
      ->check(NotEmpty());
  command
      ->add_option("--links", given->links,
                   "If links lead out of the PGDATA: refuse the import, skip them, or follow them, "
                   "which imports their targets (default: refuse). Links of tablespaces, WAL, "
                   "other data and configuration are always followed")
      ->type_name("refuse|skip|follow")
      ->check(CLI::IsMember({"refuse", "skip", "follow"}));
  command->add_flag("--allow-missing-wal", given->allow_missing_wal,
                    "Import a backup without the WAL it needs, for velapg start --recover");
  command
      ->add_option("--read-as", given->read_as,
                   "For root: read DIR, and the targets of its links, with the rights of USER "
                   "(default: the owner of DIR)")
      ->type_name("USER")
      ->check(NotEmpty())
      ->excludes("--from-tar");
  line.OnRun(command, [given](const Globals& globals) { return RunImport(globals, *given); });
}

}  // namespace velafs::cli
