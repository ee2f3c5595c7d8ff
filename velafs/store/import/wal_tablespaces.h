// CREATE TABLESPACE in the WAL of a source. Replayed as it is, it makes a link to production's
// directory and fills that; with an empty location it makes a directory inside the branch.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/import/wal_segment.h"

namespace velafs::store {

// Bytes that a file has in the branch instead of its own.
struct BytePatch {
  uint64_t offset_bytes = 0;
  std::string bytes;

  bool operator==(const BytePatch&) const = default;
};
using PatchesByName = std::map<std::string, std::vector<BytePatch>>;  // in order of offset

// TTTTTTTTXXXXXXXXYYYYYYYY, the name of a WAL segment.
bool IsWalSegmentName(const std::string& name);

// Looks through the records of these WAL segments, of PostgreSQL 9.5 and later, and returns the
// changes that empty the location in every record of CREATE TABLESPACE. It reads all records that
// begin in a segment, until one is invalid: there the WAL ends, which is not a failure. A record
// whose checksum is wrong is left as it is: no server replays it. `open` opens a segment to read.
Result<PatchesByName> EmptyTablespaceLocations(
    const std::set<std::string>& segments,
    const std::function<Result<WalFile>(const std::string& name)>& open);

}  // namespace velafs::store
