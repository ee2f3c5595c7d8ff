// The program velafs: reads its command line, runs the one command it asks for, and reports
// failure.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "velafs/api/version.h"
#include "velafs/cli/command.h"
#include "velafs/cli/config.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/log_formatter.h"
#include "velafs/cli/manual.h"
#include "velafs/cli/output.h"
#include "velafs/cli/render_json.h"
#include "velafs/cli/usage.h"
#include "velafs/configuration.h"

namespace velafs::cli {
namespace {

// Asked of a command line that could not be parsed.
bool WantsJson(int argc, char** argv) {
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    if (std::string_view(argv[i]) == "--json") return true;
  }
  return false;
}

void LogToStderr(const Globals& globals) {
  auto logger =
      std::make_shared<spdlog::logger>("velafs", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(LogFormatter("velafs: %l: "));
  logger->set_level(globals.verbose ? spdlog::level::debug
                    : globals.quiet ? spdlog::level::err
                                    : spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

int PrintVersion(bool json) {
  const std::string text = std::string("velafs ") + api::kVersion + "\n";
  const Status written =
      WriteOut(json ? RenderJson({{"name", "velafs"}, {"version", api::kVersion}}) : text);
  return written.ok() ? 0 : ReportFailure(written, json);
}

// Commands that report faults of the configuration file themselves, or need no store.
constexpr std::array kWithoutFile = {"completion", "config", "doctor", "help", "manual"};

Status RunChosen(const CommandLine& line, bool asks_for_store) try {
  if (asks_for_store) VELAFS_TRY(UseConfiguredStore(line.globals().store));
  return line.RunChosen();
} catch (const std::exception& error) {
  // For one, a daemon of another release whose answers have another shape.
  return Failed(std::string("unexpected failure: ") + error.what());
}

// Damage whose message has no hint.
Status WithWayOut(CommandLine& line, Status failure) {
  const bool has_one = !failure.hint().empty() || line.app().got_subcommand("scrub");
  if (failure.code() != Code::kCorrupt || has_one) return failure;
  return Corrupt(failure.message(), "`velafs --store " + line.globals().StoreDirectory() +
                                        " scrub` says what is damaged");
}

int Main(int argc, char** argv) {
  // A daemon or a reader of our output that goes away is a failed write, not our death.
  std::signal(SIGPIPE, SIG_IGN);
  CommandLine line;
  for (const auto& add :
       {AddInit,   AddImport,     AddMount,       AddClone,   AddList,  AddReset,  AddPromote,
        AddRename, AddDelete,     AddUndelete,    AddProtect, AddLabel, AddNote,   AddChown,
        AddExpire, AddQuota,      AddBookmark,    AddGc,      AddSeal,  AddStats,  AddMetrics,
        AddDiff,   AddExport,     AddTablespaces, AddScrub,   AddAudit, AddPolicy, AddConfig,
        AddDoctor, AddCompletion, AddHelp}) {
    add(line);
  }
  try {
    line.app().parse(argc, argv);
  } catch (const CLI::CallForVersion&) {
    return PrintVersion(WantsJson(argc, argv));
  } catch (const CLI::Success& asked_for_text) {
    return line.app().exit(asked_for_text);  // --help
  } catch (const CLI::ParseError& error) {
    return ReportFailure(UsageFailure(line.app(), error), WantsJson(argc, argv));
  }
  LogToStderr(line.globals());
  const bool asks_for_store = std::ranges::none_of(
      kWithoutFile, [&line](const char* name) { return line.app().got_subcommand(name); });
  Status done = RunChosen(line, asks_for_store);
  if (done.ok()) return 0;
  const int status = ReportFailure(WithWayOut(line, std::move(done)), line.globals().json);
  return InterruptedBy() == 0 ? status : 128 + InterruptedBy();  // as a shell tells it
}

}  // namespace
}  // namespace velafs::cli

int main(int argc, char** argv) { return velafs::cli::Main(argc, argv); }
