#include "pgctl-wrapper/single_user_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>

#include "pgctl-wrapper/recovery.h"
#include "pgctl-wrapper/server_command.h"
#include "pgctl-wrapper/settings.h"
#include "pgctl-wrapper/text_file.h"

namespace velafs::pgctl {
namespace {

// Shared catalogs can be reached from any database. Nobody drops the second, which is used if
// somebody dropped the first.
constexpr const char* kDatabases[] = {"template1", "template0"};

Status Prepare(SingleUser& server, const SingleUserRun& run, Preparation* report) {
  if (run.prepares_catalog) {
    VELAFS_TRY(DropLibrariesOfSettings(server, run.branch, run.judge, run.strict, report));
    VELAFS_TRY(DetachSubscriptions(server, report));
  } else {  // ends when it has come so far
    VELAFS_TRY(server.Query({"1"}, "").status());
  }
  return server.Finish();
}

Status RunIn(const std::string& database, const SingleUserRun& run, int log, Preparation* report) {
  std::vector<std::string> arguments = {"--single"};
  for (std::string& word : ServerArguments(run.data_dir, run.overrides)) {
    arguments.push_back(std::move(word));
  }
  arguments.push_back(database);
  Command command = ServerCommand(run.home, "postgres", arguments);
  command.stderr_fd = log;
  command.new_session = true;  // a terminal's signals are for velapg
  command.signal_when_parent_dies = run.dies_with_parent ? SIGKILL : SIGTERM;
  VELAFS_ASSIGN(SingleUser server, SingleUser::Start(std::move(command), run.patience));
  return Prepare(server, run, report);
}

}  // namespace

Result<OpenedLog> OpenLog(const std::string& path) {
  OpenedLog log;
  log.fd.Reset(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat info {};
  if (!log.fd || fstat(log.fd.get(), &info) != 0) {
    return SystemError(errno, "cannot open \"" + path + "\"");
  }
  log.start_bytes = static_cast<uint64_t>(info.st_size);
  return log;
}

Status RunSingleUser(const SingleUserRun& run, Preparation* report) {
  const std::string failure = "cannot prepare branch \"" + run.branch + "\" for its start";
  std::string said;
  for (const std::string database : kDatabases) {
    VELAFS_ASSIGN(const OpenedLog log, OpenLog(run.log));
    Status ended = RunIn(database, run, log.fd.get(), report);
    if (ended.ok() || ended.code() == Code::kRefused) return ended;
    VELAFS_ASSIGN(said, ReadTail(log.fd.get(), log.start_bytes));
    if (!EndedByItself(ended)) return std::move(ended).WithContext(failure);
    if (said.find("\"" + database + "\" does not exist") == std::string::npos) break;
  }
  return ExplainFailedStart(run.branch, run.data_dir, said, run.reads_archive);
}

}  // namespace velafs::pgctl
