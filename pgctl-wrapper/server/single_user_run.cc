#include "pgctl-wrapper/server/single_user_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "pgctl-wrapper/config/settings.h"
#include "pgctl-wrapper/process/text_file.h"
#include "pgctl-wrapper/server/recovery.h"
#include "pgctl-wrapper/server/server_command.h"

namespace velafs::pgctl {
namespace {

// Shared catalogs can be reached from any database. Nobody drops the second, which is used if
// somebody dropped the first.
constexpr const char* kDatabase = "template1";
constexpr const char* kSecondDatabase = "template0";

// Returns a database that it has to be done in again, before the rest can be done; empty when all
// is done.
Result<std::string> Prepare(SingleUser& server, const SingleUserRun& run, Preparation* report) {
  std::string next;
  if (run.prepares_catalog) {
    VELAFS_ASSIGN(next, RollBackTransactions(server, report));
    if (next.empty()) {
      VELAFS_TRY(DropLibrariesOfSettings(server, run.branch, run.judge, run.strict, report));
      VELAFS_TRY(DetachSubscriptions(server, report));
    }
  } else {  // ends when it has come so far
    VELAFS_TRY(server.Query({"1"}, "").status());
  }
  VELAFS_TRY(server.Finish());
  return next;
}

// What the branch's configuration may set so that our statements fail, wait or are misread.
std::vector<Override> WithOwnStatements(const SingleUserRun& run) {
  std::vector<Override> overrides = run.overrides;
  const auto add = [&](const char* setting, const char* value) {
    overrides.push_back({setting, value, "while velapg prepares the branch"});
  };
  add("default_transaction_read_only", "off");
  add("statement_timeout", "0");
  add("lock_timeout", "10s");
  add("idle_in_transaction_session_timeout", "0");
  if (run.home.programs.version >= 14) add("idle_session_timeout", "0");
  if (run.home.programs.version >= 17) add("transaction_timeout", "0");
  add("search_path", "pg_catalog");
  add("session_preload_libraries", "");
  add("local_preload_libraries", "");
  add("client_encoding", "SQL_ASCII");  // bytes as they are
  add("lc_messages", "C");
  add("log_min_messages", "warning");
  return overrides;
}

Result<std::string> RunIn(const std::string& database, const SingleUserRun& run, int log,
                          Preparation* report) {
  std::vector<std::string> arguments = {"--single"};
  for (std::string& word : ServerArguments(run.data_dir, WithOwnStatements(run))) {
    arguments.push_back(std::move(word));
  }
  arguments.insert(arguments.end(), {"--", database});  // its name may begin as an option does
  Command command = ServerCommand(run.home, "postgres", arguments);
  command.stderr_fd = log;
  command.new_session = true;  // a terminal's signals are for velapg
  command.signal_when_parent_dies = run.dies_with_parent ? SIGKILL : SIGTERM;
  VELAFS_ASSIGN(SingleUser server, SingleUser::Start(std::move(command), run.patience));
  return Prepare(server, run, report);
}

// With the last error of the server's log, which is the reason of the failure if it has one.
Status WithServersError(Status failure, const std::string& log) {
  const size_t error = log.rfind("ERROR:");
  if (error == std::string::npos || !failure.hint().empty()) return failure;
  const size_t end = std::min(log.find('\n', error), log.size());
  return std::move(failure).WithHint("its server says: " + log.substr(error, end - error));
}

// A log that has grown large gives way to a new one; the one before that goes. A running server
// writes to the file it has open, so this is done before one starts.
void RotateLog(const std::string& path) {
  constexpr off_t kMostBytes = 64 << 20;
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < kMostBytes) {
    return;
  }
  std::rename(path.c_str(), (path + ".1").c_str());  // if that fails, the old one grows
}

}  // namespace

Result<OpenedLog> OpenLog(const std::string& path) {
  RotateLog(path);
  OpenedLog log;
  const int flags = O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW;
  log.fd.Reset(open(path.c_str(), flags, 0600));
  if (!log.fd && errno == ELOOP) return Refused("\"" + path + "\" is a symbolic link");
  struct stat info {};
  if (!log.fd || fstat(log.fd.get(), &info) != 0) {
    return SystemError(errno, "cannot open \"" + path + "\"");
  }
  if (!S_ISREG(info.st_mode)) {
    return Refused("\"" + path + "\" is not a regular file",
                   "remove it, and start the server again");
  }
  log.start_bytes = static_cast<uint64_t>(info.st_size);
  return log;
}

Status RunSingleUser(const SingleUserRun& run, Preparation* report) {
  const std::string failure = "cannot prepare branch \"" + run.branch + "\" for its start";
  for (std::string database = kDatabase;;) {
    VELAFS_ASSIGN(const OpenedLog log, OpenLog(run.log));
    Result<std::string> next = RunIn(database, run, log.fd.get(), report);
    if (next.ok() && next->empty()) return {};
    if (next.ok()) {
      database = *std::move(next);
      continue;
    }
    Status ended = std::move(next).status();
    if (ended.code() == Code::kRefused) return ended;
    VELAFS_ASSIGN(const std::string said, ReadTail(log.fd.get(), log.start_bytes));
    if (!EndedByItself(ended)) {
      return WithServersError(std::move(ended).WithContext(failure), said);
    }
    const bool is_gone = database == kDatabase &&
                         said.find("\"" + database + "\" does not exist") != std::string::npos;
    if (!is_gone) {
      return ExplainFailedStart(run.branch, run.data_dir, said, run.reads_archive);
    }
    database = kSecondDatabase;
  }
}

}  // namespace velafs::pgctl
