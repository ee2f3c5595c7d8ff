// A source that is a base backup: the demands of its backup_label and tablespace_map.
#pragma once

#include <map>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

// The tablespaces of a tablespace_map by OID, and the path that each had on the server that was
// backed up.
std::map<std::string, std::string> ParseTablespaceMap(const std::string& text);
// The WAL segment that a backup_label says recovery begins in; "" when it names none.
std::string FirstWalSegment(const std::string& backup_label);

// Refused if the backup lacks a tablespace that its tablespace_map names, or has only a link to the
// tablespace of the backed-up server; and if it lacks the WAL that its recovery begins with, or
// that it needs to be consistent. Names each of them, and what to do. Missing WAL is only a warning
// if its configuration has a restore_command, or `allow_missing_wal` is set. Its links must be
// resolved.
Status CheckBackupIsWhole(Source& source, bool allow_missing_wal);

}  // namespace velafs::store
