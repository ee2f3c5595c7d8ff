// Parses archives of any usual compression, in the calling process.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/import/member_stream.h"

namespace velafs::cli {

struct OpenArchive {
  std::string name;  // "base", "16384": of its file, without what comes after
  int fd = -1;       // borrowed
};

// Writes the members of the first archive. If it is a base backup, then also those of its
// tablespaces and its WAL among `others`, below their places. A fault of the archives ends the
// stream with its description; a fault of the stream is returned. One thread.
Status WriteMembers(const OpenArchive& first, const std::vector<OpenArchive>& others,
                    store::MemberWriter& out);

}  // namespace velafs::cli
