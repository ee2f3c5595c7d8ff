#include "pgctl-wrapper/command/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "pgctl-wrapper/command/grammar.h"
#include "pgctl-wrapper/command/manual.h"
#include "pgctl-wrapper/command/own_words.h"
#include "velafs/base/units.h"
#include "velafs/candidates.h"
#include "velafs/manual.h"

namespace velafs::pgctl {
namespace {

// "start", or "pool list".
std::string CommandName(const CLI::App& app) {
  std::string name;
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    name += (name.empty() ? "" : " ") + at->get_name();
  }
  return name;
}

// The command whose help answers a wrong use of it: "see velapg pool list --help".
std::string SeeHelpOf(const CLI::App& app) {
  const std::string command = CommandName(app);
  return "see velapg " + (command.empty() ? "" : command + " ") + "--help";
}

constexpr const char* kHowToRun = "write velapg run SOURCE -- CMD...";

// CLI11's complaint in the house's words.
Status UsageFailure(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> left_over = app.remaining(/*recurse=*/true);
  // Words after SOURCE are most likely the command.
  const bool lacks_dashes =
      CommandName(app) == "run" && !left_over.empty() && !left_over[0].starts_with('-');
  const std::string hint = lacks_dashes ? kHowToRun : SeeHelpOf(app);
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
    return UsageError("run needs a command", kHowToRun);
  }
  const bool takes_words = arguments.command == "run" || arguments.command == "psql" ||
                           arguments.command == "candidates" || arguments.command == "manual";
  if (!takes_words && has_words) {
    return UsageError("\"" + arguments.command + "\" takes nothing after --");
  }
  return {};
}

// `text`: the program and its version.
std::string VersionDocument(const std::string& text) {
  const size_t blank = text.find(' ');
  return nlohmann::json{{"name", text.substr(0, blank)}, {"version", text.substr(blank + 1)}}
      .dump();
}

Status ParseLabels(const std::vector<std::string>& words, Arguments* arguments) {
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return UsageError("\"" + word + "\" is not a label", "write --label KEY=VALUE");
    }
    arguments->labels[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return {};
}

Status CheckStop(const Arguments& arguments) {
  const bool is_selected = !arguments.branches.empty() || !arguments.labels.empty();
  if (arguments.stop_all && is_selected) {
    return UsageError("--all goes without branches and --label");
  }
  if (arguments.stop_all || is_selected) return {};
  return UsageError("stop needs a branch", "write velapg stop BRANCH, or velapg stop --all");
}

Status CheckLogs(const Arguments& arguments) {
  if (arguments.stop_all != arguments.branch.empty()) {
    return UsageError(arguments.stop_all ? "--all goes without a branch" : "logs needs a branch",
                      "write velapg logs BRANCH, or velapg logs --rotate --all");
  }
  return {};
}

Status CheckPool(const Arguments& arguments) {
  const std::string hint = "write velapg pool SOURCE --size N";
  if (arguments.branch.empty()) return UsageError("pool needs a source", hint);
  if (arguments.pool_size == 0) return UsageError("pool needs a size", hint);
  return {};
}

Result<std::string> HelpOf(const CLI::App& app, const Arguments& arguments) {
  const CLI::App* command = FindCommand(app, arguments.branches);
  if (command == nullptr) {
    std::string name = "velapg";
    for (const std::string& word : arguments.branches) name += " " + word;
    return UsageError("there is no command \"" + name + "\"", "velapg help lists the commands");
  }
  if (arguments.json) return UsageError("help is not a JSON document", "leave out --json");
  return HelpWithText(*command, kManual);
}

}  // namespace

Result<Arguments> ParseArguments(const std::vector<std::string>& words) {
  Arguments arguments;
  RawWords raw;
  const auto grammar = MakeGrammar(&arguments, &raw);
  const auto dashes = words.begin() + static_cast<std::ptrdiff_t>(OwnWords(words));
  if (dashes != words.end()) {
    arguments.after_dashes.assign(*dashes == "--" ? dashes + 1 : dashes, words.end());
  }
  try {
    grammar->parse(std::vector<std::string>(std::make_reverse_iterator(dashes), words.rend()));
  } catch (const CLI::CallForHelp&) {
    arguments.help = grammar->help();
    return arguments;
  } catch (const CLI::CallForVersion& version) {
    const std::string text = version.what();
    const bool as_json = std::find(words.begin(), dashes, "--json") != dashes;
    arguments.help = (as_json ? VersionDocument(text) : text) + "\n";
    return arguments;
  } catch (const CLI::ParseError& error) {
    return UsageFailure(*grammar, error);
  }
  arguments.command = CommandName(*grammar);
  VELAFS_TRY(CheckAfterDashes(arguments));
  if (arguments.command == "help") {
    VELAFS_ASSIGN(arguments.help, HelpOf(*grammar, arguments));
    return arguments;
  }
  VELAFS_TRY(ParseLabels(raw.labels, &arguments));
  if (arguments.command == "stop") VELAFS_TRY(CheckStop(arguments));
  if (arguments.command == "logs") VELAFS_TRY(CheckLogs(arguments));
  if (arguments.command == "pool") VELAFS_TRY(CheckPool(arguments));
  if (arguments.command == "pool list" && !arguments.branch.empty()) {
    return UsageError("unexpected argument \"" + arguments.branch + "\"",
                      "see velapg pool list --help");
  }
  if (arguments.workers > 1 && raw.port != 0) {
    return UsageError("--port and --parallel do not go together", "each server has its own port");
  }
  if (raw.port != 0) arguments.start.port = raw.port;
  if (!raw.timeout.empty()) {
    VELAFS_ASSIGN(arguments.start.timeout, ParseDuration(raw.timeout));
    arguments.stop_timeout = arguments.start.timeout;
  }
  if (!raw.stop_timeout.empty()) {
    VELAFS_ASSIGN(arguments.stop_timeout, ParseDuration(raw.stop_timeout));
  }
  if (raw.idle_stop == "never") {
    arguments.start.idle_stop = std::chrono::seconds(0);
  } else if (!raw.idle_stop.empty()) {
    VELAFS_ASSIGN(arguments.start.idle_stop, ParseDuration(raw.idle_stop));
  }
  if (!raw.lease.empty()) {
    VELAFS_ASSIGN(arguments.lease, ParseDuration(raw.lease));
  }
  if (raw.take_wait == "0") {
    arguments.take_wait = std::chrono::seconds(0);
  } else if (!raw.take_wait.empty()) {
    VELAFS_ASSIGN(arguments.take_wait, ParseDuration(raw.take_wait));
  }
  if (!raw.network.empty()) {
    VELAFS_ASSIGN(arguments.start.network, ParseNetwork(raw.network));
  }
  arguments.start.tcp = raw.tcp;
  arguments.start.overrides.tcp = raw.tcp.value_or(false);
  arguments.start.tcp_role = arguments.user;
  arguments.as_jdbc = raw.url_format == "jdbc";
  if (arguments.as_jdbc) arguments.over_tcp = true;  // that driver takes no Unix socket
  arguments.stop_mode = ParseStopMode(raw.stop_mode).value_or(StopMode::kFast);
  if (raw.profile == "inherit") arguments.start.overrides.memory = MemoryProfile::kInherit;
  return arguments;
}

std::vector<std::string> CandidatesAfter(const std::vector<std::string>& words) {
  Arguments arguments;
  RawWords raw;
  const auto grammar = MakeGrammar(&arguments, &raw);
  return Candidates(*grammar, words);
}

Status WriteManual(const std::vector<std::string>& words) {
  if (words.size() != 2) return UsageError("manual needs a directory and API.md");
  Arguments arguments;
  RawWords raw;
  const auto grammar = MakeGrammar(&arguments, &raw);
  return WriteManualPages(*grammar, kManual, words[0], words[1]);
}

}  // namespace velafs::pgctl
