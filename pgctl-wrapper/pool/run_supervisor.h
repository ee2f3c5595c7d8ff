// The process that cleans up after `velapg run`, even if velapg is killed.
//
// It is forked before anything is made, lives in a session of its own, out of the terminal's reach,
// and waits for the end of a pipe that only velapg holds: closed on purpose, or by velapg's death.
// Then it stops the clone's server and deletes the clone. There is no other clean-up code: an
// orderly end and a SIGKILL take the same way. If it dies itself, for example with its host, the
// clone expires with its lease, which it renews as long as it lives.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "pgctl-wrapper/process/unique_fd.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The clone to clean up.
struct RunClone {
  std::string store_option;  // --store's value
  std::string name;
  bool keep = false;  // only stop its server
};

// How long a clone of that branch, or of a bookmark of it, lives without being renewed.
Result<std::chrono::seconds> RunLease(Session& session, const std::string& branch);

// One thread per process: Start forks.
class RunSupervisor {
 public:
  static Result<RunSupervisor> Start(const RunClone& clone);

  // Reports of velapg's progress; the last one counts. Before the first there is nothing to clean
  // up.
  void Cloning();    // the clone may come to exist
  void Cloned();     // it exists
  void NotCloned();  // it does not, and a branch of that name is somebody else's

  // Makes it clean up, and waits for that. It reports failures on standard error itself.
  void Finish();

 private:
  RunSupervisor(pid_t pid, UniqueFd words) : pid_(pid), words_(std::move(words)) {}
  void Say(char word);

  pid_t pid_;
  UniqueFd words_;
};

}  // namespace velafs::pgctl
