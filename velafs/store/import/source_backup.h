// A source that is a base backup: what its backup_label and tablespace_map ask for.
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

// Refused when the backup lacks a tablespace that its tablespace_map names, or has nothing but a
// link to where the backed-up server has it; and when it lacks the WAL that its recovery begins
// with, or that it needs to be consistent. Names each of them, and what to do. Lacking WAL is a
// warning where its configuration has a restore_command, or `allow_missing_wal` is set. Its links
// must be resolved.
Status CheckBackupIsWhole(Source& source, bool allow_missing_wal);

}  // namespace velafs::store
