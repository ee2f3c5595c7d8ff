// Parses archives, of any of the usual compressions, in whatever process calls.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/member_stream.h"

namespace velafs::cli {

struct OpenArchive {
  std::string name;  // "base", "16384": of its file, without what comes after
  int fd = -1;       // borrowed
};

// Writes the members of the first archive. If that is a base backup, then of `others` what belongs
// to it: its tablespaces, and its WAL, each below where it goes. Ends the stream with what is wrong
// with the archives, if anything is; returns why the stream could not be written. One thread.
Status WriteMembers(const OpenArchive& first, const std::vector<OpenArchive>& others,
                    store::MemberWriter& out);

}  // namespace velafs::cli
