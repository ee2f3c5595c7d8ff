#include "pgctl-wrapper/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <map>

#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

// What CLI11 fills in, where that is not yet the type we want.
struct RawWords {
  std::string timeout;
  std::string stop_mode = "fast";
  std::string profile = "small";
  uint16_t port = 0;
};

// Puts the command line together; what is parsed goes to the two structs.
class Grammar {
 public:
  Grammar(Arguments* arguments, RawWords* raw) : arguments_(*arguments), raw_(*raw) {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "velapg " VELAPG_VERSION);
    app_.add_option("--store", arguments_.store,
                    "Store directory (default: $VELAFS_STORE, else /var/lib/velafs for root and "
                    "~/.local/share/velafs for others)")
        ->type_name("DIR");
    app_.add_flag("--json", arguments_.json, "Print one JSON document on standard output");
    app_.add_flag("-q,--quiet", arguments_.quiet, "Print errors and data only");
    app_.footer("Example:\n  velapg start pr-42 && velapg psql pr-42");
    AddCommands();
  }
  CLI::App& app() { return app_; }

 private:
  CLI::App* Add(const std::string& name, const std::string& description,
                const std::string& example) {
    CLI::App* command = app_.add_subcommand(name, description);
    command->fallthrough();  // so that --json may follow the command
    command->add_option("BRANCH", arguments_.branch, "The branch")->required()->option_text(" ");
    command->footer("Example:\n  " + example);
    return command;
  }

  void AddCommands() {
    AddStartOptions(Add("start", "Start the branch's server and wait until it takes connections",
                        "velapg start pr-42 --port 5499"));
    AddTimeout(AddStopMode(Add("stop", "Stop the branch's server", "velapg stop pr-42")));
    AddStartOptions(AddStopMode(
        Add("restart", "Stop the branch's server and start it again", "velapg restart pr-42")));
    Add("status",
        "Say whether the branch's server runs; exit status 0 when it does, 3 when it is stopped",
        "velapg status pr-42 --json");
    AddPgBin(AddLogin(Add("psql", "Open psql on the branch; what follows -- goes to psql",
                          "velapg psql pr-42 -- -c 'SELECT version()'")));
    AddLogin(Add("url", "Print the connection URL of the branch's running server",
                 "psql \"$(velapg url pr-42)\""));
    AddLogin(Add("env", "Print shell commands that set PGHOST, PGPORT, DATABASE_URL ...",
                 "eval \"$(velapg env pr-42)\""));
    CLI::App* logs = Add("logs", "Show the server's log", "velapg logs pr-42 -f");
    logs->add_option("-n,--lines", arguments_.log_lines, "How many of the last lines")
        ->capture_default_str();
    logs->add_flag("-f,--follow", arguments_.follow_log, "Go on as the log grows");
    AddRun();
  }

  void AddRun() {
    CLI::App* run = app_.add_subcommand(
        "run",
        "Clone SOURCE, start a server on the clone, run CMD with PGHOST, PGPORT, PGUSER, "
        "PGDATABASE, DATABASE_URL and VELAFS_BRANCH set, then stop and delete the clone");
    run->fallthrough();
    run->add_option("SOURCE", arguments_.branch, "A branch or a bookmark")
        ->required()
        ->option_text(" ");
    run->add_option("--name", arguments_.run_name, "Name of the clone (default: a fresh one)");
    run->add_flag("--keep", arguments_.keep, "Keep the clone, stopped");
    run->footer(
        "Exit status: that of CMD; 128+N when signal N ended it, 127 when it is not there"
        "\nExample:\n  velapg run main -- pytest -x");
    AddLogin(run);
    AddStartOptions(run);
  }

  void AddTimeout(CLI::App* command) {
    command->add_option("--timeout", raw_.timeout, "How long to wait at most (default: 10m)")
        ->type_name("DURATION");
  }

  CLI::App* AddPgBin(CLI::App* command) {
    command->add_option("--pgbin", arguments_.start.pgbin, "Directory of PostgreSQL's programs")
        ->type_name("DIR");
    return command;
  }

  CLI::App* AddLogin(CLI::App* command) {
    command->add_option("--user", arguments_.user, "Role (default: the data owner's name)");
    command->add_option("--dbname", arguments_.dbname, "Database")->capture_default_str();
    return command;
  }

  CLI::App* AddStopMode(CLI::App* command) {
    command->add_option("--mode", raw_.stop_mode, "How to stop")
        ->check(CLI::IsMember({"smart", "fast", "immediate"}))
        ->capture_default_str();
    return command;
  }

  void AddStartOptions(CLI::App* command) {
    OverrideChoice& overrides = arguments_.start.overrides;
    command->add_option("--port", raw_.port, "TCP port (default: the one kept for the branch)")
        ->check(CLI::Range(1, 65535));
    AddTimeout(AddPgBin(command));
    command->add_flag("--as-is", overrides.as_is,
                      "Leave out the overrides that make a copy of production safe to start");
    command->add_flag("--standby", arguments_.start.standby,
                      "Keep standby.signal and recovery.signal");
    command->add_flag("--strict", overrides.strict,
                      "Refuse when a preload library is not installed");
    command->add_option("--profile", raw_.profile, "Memory settings: capped, or as configured")
        ->check(CLI::IsMember({"small", "inherit"}))
        ->capture_default_str();
  }

  Arguments& arguments_;
  RawWords& raw_;
  CLI::App app_{"Runs PostgreSQL servers on velafs branches.", "velapg"};
};

// CLI11's complaint in the house's words.
Status UsageFailure(const CLI::App& app, const CLI::ParseError& error) {
  const std::string hint = "see velapg --help";
  const std::vector<std::string> left_over = app.remaining(/*recurse=*/true);
  if (app.get_subcommands().empty() && error.get_name() == "RequiredError") {
    if (left_over.empty()) return UsageError("no command given", hint);
    return UsageError("unknown command \"" + left_over[0] + "\"", hint);
  }
  if (!left_over.empty()) return UsageError("unexpected argument \"" + left_over[0] + "\"", hint);
  std::string message = error.what();
  if (message.size() > 1 && std::islower(static_cast<unsigned char>(message[1]))) {
    message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  }
  return UsageError(message, hint);
}

Status CheckAfterDashes(const Arguments& arguments) {
  const bool has_words = !arguments.after_dashes.empty();
  if (arguments.command == "run" && !has_words) {
    return UsageError("run needs a command", "write velapg run SOURCE -- CMD...");
  }
  if (arguments.command != "run" && arguments.command != "psql" && has_words) {
    return UsageError("\"" + arguments.command + "\" takes nothing after --");
  }
  return {};
}

}  // namespace

Result<Arguments> ParseArguments(const std::vector<std::string>& words) {
  Arguments arguments;
  RawWords raw;
  Grammar grammar(&arguments, &raw);
  const auto dashes = std::find(words.begin(), words.end(), "--");
  if (dashes != words.end()) arguments.after_dashes.assign(dashes + 1, words.end());
  try {
    grammar.app().parse(std::vector<std::string>(std::make_reverse_iterator(dashes), words.rend()));
  } catch (const CLI::CallForHelp&) {
    arguments.help = grammar.app().help();
    return arguments;
  } catch (const CLI::CallForVersion& version) {
    arguments.help = std::string(version.what()) + "\n";
    return arguments;
  } catch (const CLI::ParseError& error) {
    return UsageFailure(grammar.app(), error);
  }
  arguments.command = grammar.app().get_subcommands().front()->get_name();
  VELAFS_TRY(CheckAfterDashes(arguments));
  if (raw.port != 0) arguments.start.port = raw.port;
  if (!raw.timeout.empty()) {
    VELAFS_ASSIGN(arguments.start.timeout, ParseDuration(raw.timeout));
  }
  arguments.stop_mode = ParseStopMode(raw.stop_mode).value_or(StopMode::kFast);
  if (raw.profile == "inherit") arguments.start.overrides.memory = MemoryProfile::kInherit;
  return arguments;
}

}  // namespace velafs::pgctl
