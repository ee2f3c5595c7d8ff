#include "pgctl-wrapper/server/recovery.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "pgctl-wrapper/process/text_file.h"
#include "velafs/base/control_file.h"

namespace velafs::pgctl {
namespace {

constexpr size_t kSegmentNameLength = 24;
constexpr uint64_t kLargestFileBytes = 1 << 20;  // of pg_control and backup_label

bool IsSegmentName(const std::string& name) {
  return name.size() == kSegmentNameLength &&
         name.find_first_not_of("0123456789ABCDEF") == std::string::npos;
}

bool Mentions(const std::string& text, const char* words) {
  return text.find(words) != std::string::npos;
}

std::string NewestSegment(const std::string& data_dir) {
  std::string newest;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(data_dir + "/pg_wal", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (IsSegmentName(name)) newest = std::max(newest, name);
  }
  return newest;
}

std::string RecoverHint(const std::string& branch) {
  return "velapg start " + branch +
         " --recover reads it from the archive that the branch's restore_command names, and writes "
         "nothing there; else import the data again, with its WAL";
}

// Without the hint that tells to remove backup_label, which makes the copy corrupt.
std::string WithoutBackupHint(const std::string& log) {
  std::string kept;
  bool in_hint = false;
  for (size_t begin = 0; begin < log.size();) {
    const size_t end = std::min(log.find('\n', begin), log.size() - 1) + 1;
    const std::string line = log.substr(begin, end - begin);
    const bool names_it = Mentions(line, "backup_label") || Mentions(line, "recovery.signal");
    in_hint = (in_hint && line.starts_with('\t')) ||
              (names_it && (line.starts_with('\t') || Mentions(line, "HINT:")));
    if (!in_hint) kept += line;
    begin = end;
  }
  return kept;
}

Status WalEndsTooEarly(const std::string& branch, const std::string& data_dir) {
  const std::string newest = NewestSegment(data_dir);
  return Failed("branch \"" + branch + "\" cannot be recovered: its WAL ends before its data is " +
                    "consistent" +
                    (newest.empty() ? std::string(": pg_wal is empty")
                                    : ", in segment " + newest + ", or in one before it"),
                "the WAL that follows is missing: " + RecoverHint(branch));
}

// Of a backup or a standby's copy.
Status CannotLocateCheckpoint(const std::string& branch, const std::string& data_dir,
                              const DataState& state) {
  VELAFS_TRY(CheckFirstSegment(branch, data_dir, state));
  return Failed(
      "branch \"" + branch + "\" cannot be recovered: the WAL of its last checkpoint is missing",
      RecoverHint(branch));
}

// `quoted`: the end of the server's log.
std::string TablespaceHint(bool read_archive, const std::string& quoted) {
  const std::string reason =
      read_archive ? "WAL from the archive makes a tablespace elsewhere, which cannot be replayed "
                     "on a branch: import a backup that was made after it"
                   : "its WAL makes a tablespace elsewhere: a branch's tablespaces lie inside it, "
                     "made with LOCATION ''; import the data again";
  return reason + "\n" + quoted;
}

Status Explain(const std::string& branch, const std::string& data_dir, const std::string& log,
               bool read_archive) {
  for (const char* words :
       {"WAL ends before end of online backup", "WAL ends before consistent recovery point"}) {
    if (Mentions(log, words)) return WalEndsTooEarly(branch, data_dir);
  }
  const Result<DataState> state = ReadDataState(data_dir);
  const bool is_copy = state.ok() && state->NeedsRecovery();
  for (const char* words :
       {"could not locate required checkpoint record", "could not locate a valid checkpoint record",
        "could not find redo location referenced by checkpoint record"}) {
    if (is_copy && Mentions(log, words)) return CannotLocateCheckpoint(branch, data_dir, *state);
  }
  const std::string failure = "server of branch \"" + branch + "\" ended before it was ready";
  const std::string quoted = QuoteLastLines("its log ends with", WithoutBackupHint(log));
  if (Mentions(log, "database locale is incompatible with operating system")) {
    return Failed(failure,
                  "this machine lacks the locale of a database that has to be opened: apt "
                  "install locales-all\n" +
                      quoted);
  }
  if (Mentions(log, "could not create symbolic link \"pg_tblspc/")) {
    return Failed(failure, TablespaceHint(read_archive, quoted));
  }
  return Failed(failure, quoted);
}

}  // namespace

Result<DataState> ReadDataState(const std::string& data_dir) {
  DataState data;
  VELAFS_ASSIGN(const std::string control,
                ReadBoundedFile(data_dir + "/global/pg_control", kLargestFileBytes));
  const std::optional<ClusterState> state = ParseClusterState(control);
  if (!state) return Corrupt("\"" + data_dir + "/global/pg_control\" is damaged");
  data.is_clean = state == ClusterState::kShutDown;
  data.is_standbys_copy =
      state == ClusterState::kShutDownInRecovery || state == ClusterState::kInArchiveRecovery;

  const Result<std::string> label = ReadBoundedFile(data_dir + "/backup_label", kLargestFileBytes);
  if (!label.ok() && label.status().error_number() != ENOENT) return label.status();
  data.has_backup_label = label.ok();
  if (data.has_backup_label) data.first_segment = FirstSegment(*label);
  return data;
}

std::string FirstSegment(const std::string& backup_label) {
  constexpr std::string_view kFile = "(file ";
  const size_t start = backup_label.find("START WAL LOCATION:");
  const size_t file = start == std::string::npos ? start : backup_label.find(kFile, start);
  if (file == std::string::npos) return "";
  const std::string name = backup_label.substr(file + kFile.size(), kSegmentNameLength);
  return IsSegmentName(name) ? name : "";
}

std::vector<Override> RecoveryOverrides(WalSource source, const Settings& own) {
  const char* why = "while it recovers";
  std::vector<Override> overrides = {{"hot_standby", "off", why},
                                     {"recovery_min_apply_delay", "0", why},
                                     {"recovery_target_action", "promote", why},
                                     {"lc_messages", "C", why}};
  if (source == WalSource::kArchive) {
    overrides.push_back({"restore_command", own.at("restore_command"), why});
    return overrides;
  }
  overrides.push_back({"restore_command", "false", why});  // the program: there is no archive
  for (const char* target : {"recovery_target", "recovery_target_lsn", "recovery_target_name",
                             "recovery_target_time", "recovery_target_xid"}) {
    overrides.push_back({target, "", why});
  }
  overrides.push_back({"recovery_target_timeline", "latest", why});
  return overrides;
}

Status CheckFirstSegment(const std::string& branch, const std::string& data_dir,
                         const DataState& state) {
  if (!state.has_backup_label || state.first_segment.empty()) return {};
  struct stat info {};
  if (stat((data_dir + "/pg_wal/" + state.first_segment).c_str(), &info) == 0) return {};
  return Failed("branch \"" + branch +
                    "\" cannot be recovered: it is a backup that needs WAL from " + "segment " +
                    state.first_segment + " on, which is not in its pg_wal",
                RecoverHint(branch));
}

Status ExplainFailedStart(const std::string& branch, const std::string& data_dir,
                          const std::string& log, bool read_archive) {
  Status status = Explain(branch, data_dir, log, read_archive);
  const bool is_explained = status.message().find("cannot be recovered") != std::string::npos;
  if (!read_archive || !is_explained) return status;
  return std::move(status).WithHint(
      QuoteLastLines("the archive that restore_command reads does not have it either; its log ends "
                     "with",
                     WithoutBackupHint(log)));
}

}  // namespace velafs::pgctl
