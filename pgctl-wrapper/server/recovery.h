// The recovery that a branch may need before its server may start; it ends where PostgreSQL itself
// says that the data is consistent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pgctl-wrapper/config/overrides.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The state of the data directory, by its own files.
struct DataState {
  bool is_clean = false;          // shut down as a primary: no WAL to replay
  bool is_standbys_copy = false;  // replayed a primary's WAL when it was copied
  bool has_backup_label = false;
  std::string first_segment;  // of WAL, that the backup needs; empty if it is unknown

  // A plain start would replay only the WAL that is there and take that for complete.
  bool NeedsRecovery() const { return has_backup_label || is_standbys_copy; }
};

// Reads pg_control and backup_label, as the data's owner.
Result<DataState> ReadDataState(const std::string& data_dir);

// "0/2000028 (file 000000010000000000000002)" of a backup_label: the file's name.
std::string FirstSegment(const std::string& backup_label);

enum class WalSource { kOwn, kArchive };

// For a server that recovers from WAL in pg_wal alone, or from the archive that the branch's
// restore_command reads, and ends as a primary. They come after the server's other overrides.
std::vector<Override> RecoveryOverrides(WalSource source, const Settings& own);

// Fails when the backup's first segment is not in pg_wal.
Status CheckFirstSegment(const std::string& branch, const std::string& data_dir,
                         const DataState& state);

// The failure of a server that ended before it was ready, from what it wrote to its log: with
// another text and hint for known causes, and never with PostgreSQL's hint to remove backup_label.
// `read_archive`: it also read WAL from the archive.
Status ExplainFailedStart(const std::string& branch, const std::string& data_dir,
                          const std::string& log, bool read_archive = false);

}  // namespace velafs::pgctl
