// velapg's command line, parsed.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "pgctl-wrapper/postmaster.h"
#include "pgctl-wrapper/server.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct Arguments {
  std::string help;  // when not empty: print this, do nothing

  std::string store;
  bool json = false;
  bool quiet = false;

  std::string command;
  std::string branch;  // of `run`: the branch or bookmark to clone
  std::vector<std::string> after_dashes;

  StartOptions start;  // its timeout holds for `stop` too
  StopMode stop_mode = StopMode::kFast;
  std::string user;  // empty: the data owner's name
  std::string dbname = "postgres";
  size_t log_lines = 50;
  bool follow_log = false;
  std::string run_name;  // empty: chosen
  bool keep = false;
};

// `words` without the program's name. Fails with kUsage.
Result<Arguments> ParseArguments(const std::vector<std::string>& words);

}  // namespace velafs::pgctl
