// PostgreSQL in single-user mode: a server to which nobody can connect, for work that must be done
// on a branch before anybody can connect. It recovers first, and shuts down cleanly at the end.
// Settings of databases and roles do not apply in it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

using Row = std::vector<std::string>;  // columns; null and empty are the same

// When to give up on a server that works.
struct Patience {
  std::chrono::steady_clock::time_point deadline;
  std::function<bool()> is_cancelled = [] { return false; };
};

// One thread. A failure without a message of its own means that the server's log says why.
class SingleUser {
 public:
  // `command` runs `postgres --single`; its input and output are replaced.
  static Result<SingleUser> Start(Command command, Patience patience);
  SingleUser(SingleUser&&) = default;
  SingleUser& operator=(SingleUser&&) = delete;
  // Ends the server, if Finish did not.
  ~SingleUser();

  // The rows of `SELECT columns rest`, with the columns as the server's bytes. Fails when the
  // server ends, or refuses the statement.
  Result<std::vector<Row>> Query(const std::vector<std::string>& columns, const std::string& rest);
  // A statement of one line. Whether it succeeded shows in what a query finds.
  Status Execute(const std::string& statement);
  // Waits for the shutdown. Fails unless that is clean.
  Status Finish();

 private:
  SingleUser(pid_t pid, UniqueFd pidfd, Patience patience)
      : pid_(pid), pidfd_(std::move(pidfd)), patience_(std::move(patience)) {}
  // The next line of its output, without the prompt.
  Result<std::string> ReadLine();
  Status CheckPatience() const;

  pid_t pid_;
  UniqueFd pidfd_;  // empty once it has been waited for
  Patience patience_;
  UniqueFd in_;
  UniqueFd out_;
  std::string unread_;
  uint64_t output_bytes_ = 0;  // in all: a library of the branch's may print without end
};

// True of the failure of a server that ended by itself: its log says why.
bool EndedByItself(const Status& failure);

// `bytes` as an SQL expression of type text.
std::string SqlText(const std::string& bytes);
// The same as a literal, where SQL allows no expression.
std::string SqlLiteral(const std::string& bytes);

}  // namespace velafs::pgctl
