// The commands of velafs: their common arguments, and how each is added to the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "velafs/base/status.h"
#include "velafs/cli/style.h"
#include "velafs/client.h"

namespace velafs::cli {

// The options that every command takes.
struct Globals {
  std::string store;
  bool json = false;
  bool quiet = false;
  bool verbose = false;

  std::string StoreDirectory() const { return velafs::StoreDirectory(store); }
  Result<std::unique_ptr<Client>> Connect() const { return Client::Connect(StoreDirectory()); }
};

// A command's result as text.
using TextRenderer = std::function<std::string(const nlohmann::json& result, const Style& style)>;

// Prints `result`, as JSON with --json, else as text. --quiet leaves out text that only confirms:
// see PrintConfirmation.
Status PrintResult(const Globals& globals, const nlohmann::json& result, const TextRenderer& text);
Status PrintConfirmation(const Globals& globals, const nlohmann::json& result,
                         const std::string& text);

// For options that name a file: refuses "", which an unset variable of a script becomes.
CLI::Validator NotEmpty();

using Run = std::function<Status(const Globals& globals)>;

// Builds the command line's grammar and, after parsing, knows the command that was asked for.
class CommandLine {
 public:
  CommandLine();

  // A command of `parent` (the program itself when null), with an example for its --help.
  CLI::App* Add(const std::string& name, const std::string& description, const std::string& example,
                CLI::App* parent = nullptr);
  // Sets what `command` does. The options that it reads must live in `run`.
  void OnRun(CLI::App* command, Run run);

  CLI::App& app() { return app_; }
  const Globals& globals() const { return globals_; }
  Status RunChosen() const { return chosen_(globals_); }

 private:
  CLI::App app_;
  Globals globals_;
  Run chosen_;
};

void AddInit(CommandLine& line);
void AddImport(CommandLine& line);
void AddMount(CommandLine& line);
void AddClone(CommandLine& line);
void AddList(CommandLine& line);
void AddReset(CommandLine& line);
void AddPromote(CommandLine& line);
void AddRename(CommandLine& line);
void AddDelete(CommandLine& line);
void AddUndelete(CommandLine& line);
void AddProtect(CommandLine& line);
void AddLabel(CommandLine& line);
void AddNote(CommandLine& line);
void AddChown(CommandLine& line);
void AddExpire(CommandLine& line);
void AddQuota(CommandLine& line);
void AddBookmark(CommandLine& line);
void AddGc(CommandLine& line);
void AddSeal(CommandLine& line);
void AddStats(CommandLine& line);
void AddMetrics(CommandLine& line);
void AddDiff(CommandLine& line);
void AddExport(CommandLine& line);
void AddTablespaces(CommandLine& line);
void AddScrub(CommandLine& line);
void AddDoctor(CommandLine& line);
void AddCompletion(CommandLine& line);
void AddAudit(CommandLine& line);
void AddAuditEnds(CommandLine& line, CLI::App* audit);
void AddPolicy(CommandLine& line);

}  // namespace velafs::cli
