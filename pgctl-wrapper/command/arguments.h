// velapg's command line, parsed.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/server/postmaster.h"
#include "pgctl-wrapper/server/server.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct Arguments {
  std::string help;  // when not empty: print this, do nothing

  std::string store;
  bool json = false;
  bool quiet = false;

  std::string command;  // "start", "pool", "pool list" ...
  // For `run` and `pool`: the branch or bookmark to clone. For other commands on pools: the pool,
  // or its source. May be empty if the command does not need it.
  std::string branch;
  std::vector<std::string> branches;          // of `stop` and `status`: names and patterns
  std::map<std::string, std::string> labels;  // likewise: that a branch must have
  std::vector<std::string> after_dashes;

  StartOptions start;
  bool foreground = false;  // of `start`
  StopMode stop_mode = StopMode::kFast;
  std::chrono::seconds stop_timeout = std::chrono::minutes(1);
  bool force = false;    // of `stop`: kill it in the end
  std::string cluster;   // of `register`; empty: the branch's name
  std::string reset_to;  // of `reset`; empty: the branch's parent
  std::string user;      // empty, like the next: as ConnectionFor says
  std::string dbname;
  bool superuser = false;
  std::string policies_of;  // whose policies say so; empty: `branch`
  size_t log_lines = 50;
  bool follow_log = false;
  bool rotate_log = false;
  bool over_tcp = false;  // of `url` and `env`
  bool as_jdbc = false;   // of `url`
  std::string as_user;    // of a clone; empty: as UserOfClone says
  std::string run_name;   // empty: chosen
  bool keep = false;
  size_t workers = 1;
  bool no_prefix = false;

  bool inspect_schema = false;
  bool inspect_relations = false;

  size_t pool_size = 0;
  std::string pool_name;        // empty: after the source
  bool stop_all = false;        // what is taken, too; of `stop` and `logs`: all servers
  bool unless_waiting = false;  // of `pool fill`
  std::chrono::seconds take_wait = std::chrono::minutes(1);
  std::optional<std::chrono::seconds> lease;  // of `take` and `renew`
  bool as_url = false;                        // of `take`
  bool as_env = false;                        // likewise
};

// `words` without the program's name. Fails with kUsage.
Result<Arguments> ParseArguments(const std::vector<std::string>& words);

// Completions of the last word after the program's name: see velafs/candidates.h.
std::vector<std::string> CandidatesAfter(const std::vector<std::string>& words);

// Writes velapg's manual pages; `words` are a directory and the path of API.md.
Status WriteManual(const std::vector<std::string>& words);

}  // namespace velafs::pgctl
