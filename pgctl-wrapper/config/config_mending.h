// A configuration that the server program refuses, mended: in a copy, the lines that it does not
// take are left out. The branch's own files stay as they are.
#pragma once

#include <string>
#include <vector>

#include "pgctl-wrapper/config/config_text.h"
#include "pgctl-wrapper/config/overrides.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/server_command.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A complaint of the server program about a configuration.
struct Complaint {
  std::string words;    // its own, without time, level and place
  std::string setting;  // in small letters; empty if it names none
  std::string file;     // empty if it names none
  size_t line = 0;

  bool operator==(const Complaint&) const = default;
};

// Parses the program's messages on standard error, in English.
std::vector<Complaint> ParseComplaints(const std::string& output);

// Writes a copy of the configuration that the program accepts to COPY, sets it in `places`, and
// returns the lines that were left out. Fails, with `complaints` or a line to mend, if something
// cannot be left out: a line of postgresql.auto.conf, which a server reads in the branch alone, or
// a target of recovery, without which it would recover something else. To be called as the data's
// owner.
Result<std::vector<LeftOutLine>> MendConfiguration(const ServerHome& home, const std::string& copy,
                                                   const CaptureLimits& limits,
                                                   ServerPlaces* places);

// Those changes, as overrides.
std::vector<Override> LeftOutOverrides(const std::vector<LeftOutLine>& left_out);

}  // namespace velafs::pgctl
