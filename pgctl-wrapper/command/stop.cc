#include "pgctl-wrapper/command/stop.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "pgctl-wrapper/command/selection.h"
#include "pgctl-wrapper/connect/tcp_login.h"
#include "pgctl-wrapper/pool/throw_away.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server_group.h"
#include "velafs/base/text.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kImmediateTime{15};  // the server itself gives its backends 5
constexpr seconds kForcedFastTime{10};

// What a server that was told to stop still does. To be called as its user.
std::string WhatItDoes(const std::string& data_dir, StopMode mode) {
  const auto file = ReadPostmasterFile(data_dir);
  const std::string state = file.ok() && *file ? (*file)->status : "";
  if (state == "starting") return "it is still recovering";
  if (mode == StopMode::kSmart) return "it waits for its clients to disconnect";
  return mode == StopMode::kFast ? "it writes its last checkpoint" : "its processes do not end";
}

// True if it has ended in time.
Result<bool> StopInTime(const Branch& branch, const RunningServer& server, StopMode mode,
                        seconds timeout, const Output& output) {
  VELAFS_TRY(SignalServer(server, mode));
  const auto start = steady_clock::now();
  Progress progress(output);
  for (;;) {
    const auto passed = std::chrono::duration_cast<seconds>(steady_clock::now() - start);
    if (passed >= timeout) return false;
    if (WaitForEnd(server.pidfd,
                   std::min<std::chrono::milliseconds>(timeout - passed, seconds(1)))) {
      return true;
    }
    progress.Show("waiting for the server of branch " + Quoted(branch.name) +
                  " to stop: " + WhatItDoes(branch.data_dir, mode));
  }
}

Status NotStopped(const Branch& branch, const Arguments& arguments) {
  const bool is_immediate = arguments.stop_mode == StopMode::kImmediate;
  return Failed("the server of branch " + Quoted(branch.name) + " has not stopped after " +
                    FormatDuration(arguments.stop_timeout) + ": " +
                    WhatItDoes(branch.data_dir, arguments.stop_mode),
                (is_immediate ? "velapg stop " + branch.name + " --force kills it"
                              : "velapg stop " + branch.name + " --mode immediate ends it now") +
                    "; --timeout waits longer");
}

// Fast, then immediate, then by SIGKILL: one that is recovering may take no notice of the rest.
Status ForceStop(Session& session, const Branch& branch, const Found& found, const Output& output) {
  {
    const ActingAs acting(found.owner);
    for (const auto& [mode, time] : {std::pair(StopMode::kFast, kForcedFastTime),
                                     std::pair(StopMode::kImmediate, kImmediateTime)}) {
      VELAFS_ASSIGN(const bool ended, StopInTime(branch, *found.server, mode, time, output));
      if (ended) return {};
    }
  }
  return KillServersOn(session, branch);
}

// One of several; what went wrong is told at once.
json StopOne(Session& session, const Branch& branch, const Arguments& arguments,
             const Output& output, bool* failed) {
  json document = {{"branch", branch.name}, {"stopped", false}};
  const Result<Found> found = FindServerOf(session, branch);
  Status stopped = found.status();
  if (found.ok() && !found->server) return document;
  if (found.ok()) {
    document["pid"] = found->server->file.pid;
    stopped = StopFound(session, branch, *found, arguments, output);
  }
  if (stopped.ok()) {
    document["stopped"] = true;
    return document;
  }
  *failed = true;
  output.Complain(stopped);
  document["error"] = {{"code", CodeName(stopped.code())}, {"message", stopped.message()}};
  return document;
}

Result<int> StopMany(Session& session, const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(const std::vector<Branch> branches, SelectBranches(session, arguments));
  json servers = json::array();
  std::string text;
  bool failed = false;
  for (const Branch& branch : branches) {
    json stopped = StopOne(session, branch, arguments, output, &failed);
    if (stopped["stopped"].get<bool>()) {
      text += "server of branch " + Quoted(branch.name) + " stopped\n";
    }
    servers.push_back(std::move(stopped));
  }
  if (text.empty() && !failed) text = "no server runs on these branches\n";
  output.Confirm({{"servers", std::move(servers)}}, text);
  return failed ? ExitStatus(Code::kFailed) : 0;
}

Result<int> StopOnlyOne(Session& session, const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(const Branch branch, session.Find(arguments.branches.front()));
  VELAFS_ASSIGN(const Found found, FindServerOf(session, branch));
  if (!found.server) {
    output.Confirm({{"branch", branch.name}, {"stopped", false}},
                   "no server runs on branch " + Quoted(branch.name) + "\n");
    return 0;
  }
  VELAFS_TRY(StopFound(session, branch, found, arguments, output));
  output.Confirm({{"branch", branch.name}, {"stopped", true}, {"pid", found.server->file.pid}},
                 "server of branch " + Quoted(branch.name) + " stopped" +
                     (found.server->lost ? ": it had lost its mount\n" : "\n"));
  return 0;
}

Status StopServerOf(Session& session, const Branch& branch, const Found& found,
                    const Arguments& arguments, const Output& output) {
  if (found.server->lost) {
    const ActingAs acting(found.owner);
    return StopServer(*found.server, StopMode::kImmediate, arguments.stop_timeout);
  }
  if (arguments.force) return ForceStop(session, branch, found, output);
  const ActingAs acting(found.owner);
  VELAFS_ASSIGN(const bool ended, StopInTime(branch, *found.server, arguments.stop_mode,
                                             arguments.stop_timeout, output));
  return ended ? Status() : NotStopped(branch, arguments);
}

}  // namespace

Status StopFound(Session& session, const Branch& branch, const Found& found,
                 const Arguments& arguments, const Output& output) {
  const RunDir run_dir = FindRunDir(session.store(), branch.id);
  std::optional<TcpLogin> login;
  {
    const ActingAs acting(found.owner);
    login = ReadTcpLogin(run_dir);
  }
  VELAFS_TRY(StopServerOf(session, branch, found, arguments, output));
  RemoveServerGroup(branch.name);
  const ActingAs acting(found.owner);
  return ForgetTcpLogin(run_dir, login);
}

Result<int> StopBranches(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  return IsOneBranch(arguments) ? StopOnlyOne(session, arguments, output)
                                : StopMany(session, arguments, output);
}

}  // namespace velafs::pgctl
