// Child processes: starting them for a server, a probe or a user's command, and waiting for them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/process/isolation.h"
#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// Opens /dev/null for standard descriptors that the caller had closed, so that no other descriptor
// takes their numbers. Call it first.
void OpenStandardFds();

using Environment = std::map<std::string, std::string>;

Environment CallerEnvironment();
// The environment of a client program that runs as `owner`: the caller's, with HOME, USER and
// LOGNAME of the owner. If the caller is root, only the variables that such programs need, since
// another user's process would show root's secrets; the owner's configuration of such programs is
// then not read.
Environment EnvironmentOf(const Owner& owner);
// The environment of a server, which shows it to everybody who gets into it: where programs are,
// language and time zone.
Environment ServerEnvironment(const Owner& owner);

struct ServerGroup;

struct Command {
  std::vector<std::string> argv;  // argv[0] is searched in the caller's PATH unless it has a slash
  Environment environment = CallerEnvironment();
  const Owner* run_as = nullptr;         // borrowed; null: as the caller
  const ServerGroup* group = nullptr;    // borrowed; null: the caller's
  const Isolation* isolation = nullptr;  // borrowed; null: where the caller is. With run_as only
  int stdin_fd = 0;  // borrowed, like the next two; other descriptors are not inherited
  int stdout_fd = 1;
  int stderr_fd = 2;
  bool new_session = false;         // always so when root starts it for another user
  int terminal_fd = -1;             // borrowed; becomes the new session's terminal
  int signal_when_parent_dies = 0;  // sent to the child when this process ends; 0: none
};

// Starts it, with no signal blocked. When it cannot be executed the failure has execve's errno,
// when it cannot be isolated or limited it is Refused and says why; nothing is left running.
Result<pid_t> Spawn(const Command& command);

// This process becomes the program that Spawn would start: same pid. Returns only on failure.
Status Become(const Command& command);

// Replaces this process, as who and where it is. Returns only on failure.
Status Execute(const Command& command);

// Waits for the child's end: its exit status, or 128 + the signal that killed it.
int WaitForExit(pid_t pid);
// The same if the child has ended; nothing, at once, if it has not.
std::optional<int> ExitStatusIfEnded(pid_t pid);
// The same of a status that waitpid gave.
int ExitStatusOf(int wait_status);
// Has a child end by a signal, or, if it has not within that time, by force. Its exit status.
int EndChild(pid_t pid, int signal, std::chrono::milliseconds time);

struct Captured {
  int exit_status = 0;
  std::string out;
  std::string err;
};

// Limits of a captured program, since it may wait for files, or get answers of a server, that other
// users control.
struct CaptureLimits {
  std::chrono::milliseconds time = std::chrono::minutes(1);
  uint64_t output_bytes = uint64_t{1} << 20;  // of each stream; of memory
};

// A child whose output is kept. Several may run at once; one that prints more than a pipe holds
// waits for Finish.
class CapturedProcess {
 public:
  // stdout_fd and stderr_fd of `command` are replaced, and so is the caller's own standard input:
  // it reads nothing, unless stdin_fd is another file.
  static Result<CapturedProcess> Start(Command command, const CaptureLimits& limits = {});
  CapturedProcess(CapturedProcess&& other) noexcept;
  CapturedProcess& operator=(CapturedProcess&&) = delete;
  ~CapturedProcess();  // ends it, if Finish did not wait for it
  pid_t pid() const { return pid_; }
  // Waits for its end. Once. Failed if that takes too long, Refused if it prints too much.
  Result<Captured> Finish();

 private:
  CapturedProcess() = default;
  Status DidNotEnd();

  pid_t pid_ = -1;  // -1 once it has been waited for
  std::string program_;
  CaptureLimits limits_;
  std::chrono::steady_clock::time_point deadline_;
  UniqueFd pidfd_;
  UniqueFd out_;
  UniqueFd err_;
};

// Start and Finish in one.
Result<Captured> Capture(Command command, const CaptureLimits& limits = {});

// A handle that stays with the process even when its pid is used again. Fails with ESRCH.
Result<UniqueFd> OpenPidFd(pid_t pid);
// True when the process has ended within the time, a zombie included.
bool WaitForEnd(const UniqueFd& pidfd, std::chrono::milliseconds timeout);

}  // namespace velafs::pgctl
