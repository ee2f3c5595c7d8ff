// A server process on its way up: waited for until it is ready, and ended if its start fails.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>

#include "pgctl-wrapper/server/single_user_run.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct Launched {
  pid_t pid = 0;
  bool is_child = true;
  OpenedLog log;
};

// Sends it the signal, and SIGKILL if it has not ended after `time`.
void EndLaunched(const Launched& launched, int signal, std::chrono::milliseconds time);

struct ReadinessWait {
  std::string branch;
  std::string data_dir;
  std::string name_for_hints;
  std::chrono::seconds timeout;
  std::function<bool()> is_cancelled = [] { return false; };
};
// Returns once it takes connections. After a failure the server has ended, except after a timeout:
// then it goes on starting. If it ended by itself, the hint has its last log lines.
Status WaitUntilReady(const Launched& launched, const ReadinessWait& wait);

}  // namespace velafs::pgctl
