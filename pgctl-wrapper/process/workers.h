// Forked copies of this process that do one thing each, watched together.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "pgctl-wrapper/process/held_signals.h"
#include "pgctl-wrapper/process/line_relay.h"
#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A worker dies with this process. Its standard input is empty; this process prints its output, in
// whole lines. One thread per process.
class Workers {
 public:
  // Forks the next worker, whose exit status is what `work` returns there. `prefix` goes before
  // each line of its output.
  Status Start(const std::string& prefix, const std::function<int()>& work);

  void Signal(int number) const;

  // Waits for the end of all, and passes on to them the signals that come meanwhile, except those
  // that the terminal sent to the whole group. Returns 0 when all have ended with 0, else the exit
  // status of the one that first ended with another.
  int Wait(const HeldSignals& signals);

 private:
  struct Stream {
    UniqueFd fd;  // not blocking; empty after the stream's end
    int target;
    LineRelay lines;
  };
  struct Worker {
    pid_t pid = -1;  // -1 once it has ended
    std::vector<Stream> streams;
  };

  static void Relay(Stream& stream);
  static void Finish(Stream& stream);
  void Poll(const UniqueFd& arrivals);
  void Reap();

  std::vector<Worker> workers_;
  int exit_status_ = 0;
};

}  // namespace velafs::pgctl
