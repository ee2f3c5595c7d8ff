#include "pgctl-wrapper/server/launched_server.h"

#include <signal.h>

#include <algorithm>

#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/server/postmaster.h"
#include "pgctl-wrapper/server/recovery.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kShortestReadyPoll{2};
constexpr milliseconds kLongestReadyPoll{50};
constexpr std::chrono::seconds kTimeToQuit{10};

// A twentieth of the time passed: no start gets much longer.
milliseconds NextPoll(steady_clock::time_point start) {
  const auto passed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
  return std::clamp(passed / 20, kShortestReadyPoll, kLongestReadyPoll);
}

Status EndFailed(const Launched& launched, Status failure) {
  EndLaunched(launched, SIGQUIT, kTimeToQuit);
  return failure;
}

}  // namespace

void EndLaunched(const Launched& launched, int signal, milliseconds time) {
  if (launched.is_child) {
    EndChild(launched.pid, signal, time);
    return;
  }
  const Result<UniqueFd> pidfd = OpenPidFd(launched.pid);
  kill(launched.pid, signal);
  if (pidfd.ok() && !WaitForEnd(*pidfd, time)) kill(launched.pid, SIGKILL);
}

Status WaitUntilReady(const Launched& launched, const ReadinessWait& wait) {
  const std::string server = "server of branch \"" + wait.branch + "\"";
  const Result<UniqueFd> pidfd = OpenPidFd(launched.pid);
  if (!pidfd.ok()) return EndFailed(launched, pidfd.status());
  const auto start = steady_clock::now();
  while (!WaitForEnd(*pidfd, NextPoll(start))) {
    const Result<std::optional<PostmasterFile>> file = ReadPostmasterFile(wait.data_dir);
    if (!file.ok()) return EndFailed(launched, file.status());
    if (*file && (*file)->pid == launched.pid && (*file)->IsUp()) return {};
    if (wait.is_cancelled()) {
      return EndFailed(launched, Failed("start of the " + server + " was interrupted"));
    }
    if (steady_clock::now() < start + wait.timeout) continue;
    return Failed(server + " is not ready after " + FormatDuration(wait.timeout),
                  "it is still starting: see velapg status and velapg logs");
  }
  if (launched.is_child) WaitForExit(launched.pid);
  VELAFS_ASSIGN(const std::string said, ReadTail(launched.log.fd.get(), launched.log.start_bytes));
  return ExplainFailedStart(wait.name_for_hints, wait.data_dir, said);
}

}  // namespace velafs::pgctl
