// The signals that would end a program, held back while it has something to clean up.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "pgctl-wrapper/process/unique_fd.h"

namespace velafs::pgctl {

// From its making on, SIGINT, SIGTERM, SIGHUP and SIGQUIT wait (those that the caller had ignored
// stay ignored), for the rest of the process's life. Children started by Spawn get them as usual.
// One thread.
class HeldSignals {
 public:
  HeldSignals();

  // A signal that has arrived and was not yet passed on; 0 if there is none.
  int Pending() const;

  // Waits for the end of `command`, a child in this process group, and passes on to it the signals
  // that come meanwhile, except those that the terminal sent to the whole group. Returns its exit
  // status, 128 + N when signal N ended it.
  int WaitFor(pid_t command);

  // A non-blocking signalfd, readable once one of them, or SIGCHLD, has arrived. Reading a signal
  // removes it.
  UniqueFd Arrivals() const;

 private:
  sigset_t enders_;
};

}  // namespace velafs::pgctl
