#include "pgctl-wrapper/server/server_facts.h"

#include <algorithm>
#include <chrono>

#include "pgctl-wrapper/config/config_mending.h"
#include "pgctl-wrapper/config/settings.h"
#include "pgctl-wrapper/config/ssl_files.h"
#include "pgctl-wrapper/data/data_dir.h"
#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

Status RefuseLeftOut(const std::string& branch, const std::vector<Override>& left_out) {
  std::string places;
  for (const Override& item : left_out) places += (places.empty() ? "" : "; ") + item.why;
  return Refused(
      "branch \"" + branch + "\" has a configuration that its server does not accept: " + places,
      "correct it, or start without --strict");
}

// So that the server takes it. `complaints`: the program's words.
Status Mend(const ServerHome& home, const RunDir& run_dir, const StartOptions& options,
            const CaptureLimits& limits, const std::string& complaints, ServerFacts* facts,
            Preparation* report) {
  if (options.overrides.as_is) {
    return Failed(
        "its configuration cannot be read",
        QuoteLastLines("without --as-is, lines that the server does not accept are left out; the "
                       "server program says",
                       complaints));
  }
  VELAFS_ASSIGN(const std::vector<LeftOutLine> lines,
                MendConfiguration(home, run_dir.path + "/postgresql.conf", limits, &facts->places));
  const std::vector<Override> left_out = LeftOutOverrides(lines);
  if (options.overrides.strict) return RefuseLeftOut(facts->branch, left_out);
  for (const Override& item : left_out) {
    report->neutralised.push_back(item);
    report->warnings.push_back(item.setting + ": " + item.value + " (" + item.why + ")");
  }
  return {};
}

Status Learn(const ServerHome& home, const RunDir& run_dir, const StartOptions& options,
             LibraryJudge& judge, ServerFacts* facts, Preparation* report) {
  const std::string& data_dir = facts->places.data_dir;
  VELAFS_ASSIGN(const auto mode, MendDirectoryMode(data_dir));
  if (mode) {
    report->neutralised.push_back(*mode);
    report->warnings.push_back(mode->setting + " is now " + mode->value + ": " + mode->why);
  }
  facts->replication_origins = CountReplicationOrigins(data_dir);
  std::vector<std::string> settings = SettingsToAsk(facts->version, options.overrides);
  if (options.recover) settings.emplace_back("restore_command");
  if (facts->replication_origins > 0) settings.emplace_back(OriginLimit(facts->version));
  CaptureLimits limits;
  limits.time = std::min<std::chrono::milliseconds>(limits.time, options.timeout);
  VELAFS_ASSIGN(Answers answers, AskSettings(home, facts->places, settings, limits));
  if (!answers.complaints.empty()) {
    VELAFS_TRY(Mend(home, run_dir, options, limits, answers.complaints, facts, report));
    VELAFS_ASSIGN(answers, AskSettings(home, facts->places, settings, limits));
  }
  if (!answers.complaints.empty()) {
    return Failed("its configuration cannot be read",
                  QuoteLastLines("the server program says", answers.complaints));
  }
  facts->own = std::move(answers.values);
  facts->ssl_problem = SslProblem(facts->own, data_dir);
  for (const char* setting : kPreloadSettings) {
    VELAFS_ASSIGN(facts->preloads[setting], judge.Judge(setting, facts->own[setting]));
  }
  return {};
}

}  // namespace

Result<ServerFacts> LearnFacts(const ServerHome& home, const Branch& branch, const RunDir& run_dir,
                               ServerPlaces places, const StartOptions& options,
                               LibraryJudge& judge, Preparation* report) {
  ServerFacts facts;
  facts.branch = branch.name;
  facts.version = home.programs.version;
  facts.network = options.network.value_or(Network::kIsolated);
  facts.places = std::move(places);
  Status learned = Learn(home, run_dir, options, judge, &facts, report);
  if (learned.ok()) return facts;
  if (learned.code() == Code::kRefused && options.overrides.strict) return learned;
  return std::move(learned).WithContext("cannot start branch \"" + branch.name + "\"");
}

}  // namespace velafs::pgctl
