#include "velafs/cli/command.h"

#include <unistd.h>

#include "velafs/api/version.h"
#include "velafs/cli/output.h"
#include "velafs/cli/render_json.h"
#include "velafs/cli/usage.h"
#include "velafs/configuration.h"
#include "velafs/manual.h"

namespace velafs::cli {

Status PrintResult(const Globals& globals, const nlohmann::json& result, const TextRenderer& text) {
  return WriteOut(globals.json ? RenderJson(result) : text(result, StyleFor(STDOUT_FILENO)));
}

Status PrintConfirmation(const Globals& globals, const nlohmann::json& result,
                         const std::string& text) {
  if (globals.quiet && !globals.json) return {};
  return WriteOut(globals.json ? RenderJson(result) : text + "\n");
}

CLI::Validator NotEmpty() {
  return CLI::Validator(
      [](const std::string& text) { return std::string(text.empty() ? "must not be empty" : ""); },
      "");
}

CommandLine::CommandLine()
    : app_("Copy-on-write branches of PostgreSQL data directories.", "velafs") {
  app_.formatter(std::make_shared<HelpFormatter>());
  app_.require_subcommand(1);
  app_.set_version_flag("--version", std::string("velafs ") + api::kVersion);
  app_.add_option("--store", globals_.store,
                  "Store directory (default: $VELAFS_STORE, else /var/lib/velafs for root and "
                  "~/.local/share/velafs for others)")
      ->type_name("DIR")
      ->check(NotEmpty());
  app_.add_option_function<std::string>(
          "--config", UseConfiguration,
          "Configuration file (default: $VELAFS_CONFIG, else /etc/velafs/velafs.conf for root and "
          "~/.config/velafs/velafs.conf for others)")
      ->type_name("FILE")
      ->check(NotEmpty());
  app_.add_flag("--json", globals_.json, "Print one JSON document on standard output");
  CLI::Option* quiet = app_.add_flag("-q,--quiet", globals_.quiet, "Print errors and data only");
  app_.add_flag("-v,--verbose", globals_.verbose, "Print more on standard error")->excludes(quiet);
  app_.footer(
      "Example:\n  velafs init && velafs import main --from-dir /var/lib/postgresql/15/main"
      "\n  velafs mount && velafs clone main pr-42");
}

CLI::App* CommandLine::Add(const std::string& name, const std::string& description,
                           const std::string& example, CLI::App* parent) {
  CLI::App* command = (parent == nullptr ? &app_ : parent)->add_subcommand(name, description);
  command->fallthrough();  // so that --json may follow the command
  command->footer("Example:\n  " + example +
                  "\n\n--store, --json, --quiet and --verbose may be given too: see velafs --help" +
                  "\nMore about it: velafs help " + CommandPath(*command));
  return command;
}

void CommandLine::OnRun(CLI::App* command, Run run) {
  // Called after those of its own commands: one of them may be the one asked for.
  command->callback([this, command, run = std::move(run)] {
    if (command->get_subcommands().empty()) chosen_ = run;
  });
}

}  // namespace velafs::cli
