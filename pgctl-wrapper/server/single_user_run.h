// The one run of a branch's server in single-user mode before its first start proper: it recovers,
// and prepares the catalogs.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/server/preparation.h"
#include "pgctl-wrapper/server/server_command.h"
#include "pgctl-wrapper/server/single_user.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct SingleUserRun {
  const ServerHome& home;
  std::string branch;
  std::string data_dir;
  std::vector<Override> overrides;
  std::string log;  // a path; the server's messages are appended
  bool prepares_catalog = true;
  bool reads_archive = false;
  bool strict = false;
  bool dies_with_parent = false;
  JudgeSetting judge;
  Patience patience;
};

// To be called as the data's owner. A failure says why the server ended, as ExplainFailedStart
// does.
Status RunSingleUser(const SingleUserRun& run, Preparation* report);

// A server's log, and where the lines of the process about to be started begin.
struct OpenedLog {
  UniqueFd fd;
  uint64_t start_bytes = 0;
};
// One of 64 MiB or more is put aside first, as PATH.1.
Result<OpenedLog> OpenLog(const std::string& path);

}  // namespace velafs::pgctl
